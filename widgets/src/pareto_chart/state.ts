// The threshold of a dataset's revenue filter: pure functions from draft to draft.
import type { BaseFacts } from "../kit/sync";

export type Side = "buyer" | "product";

export interface Filter {
  readonly kind: string;
  readonly side?: Side;
  readonly percent?: number;
  readonly [field: string]: unknown;
}

/** A Dataset's JSON; only the filters are changed here. */
export interface Draft {
  readonly name: string;
  readonly filters: readonly Filter[];
  readonly [field: string]: unknown;
}

export const MEASURES = ["revenue", "rows", "quantity"] as const;
export type Measure = (typeof MEASURES)[number];

/** What is kept at 0 to 100 percent of a measure; empty lists where it is not known. */
export interface Thresholds {
  readonly total: number;
  /** The smallest measure that is kept. */
  readonly cuts: readonly (number | null)[];
  readonly counts: readonly number[];
  readonly rows: readonly number[];
  readonly revenue: readonly number[];
  readonly quantity: readonly number[];
  readonly covered: readonly number[];
  /** The curve: share of entities, share of the measure. */
  readonly points: readonly (readonly [number, number])[];
  /** Entities whose measure is not positive. */
  readonly needless: number;
}

export interface Facts extends BaseFacts {
  readonly side: Side;
  readonly entities: number;
  readonly rows: number | null;
  readonly others: number | null;
  readonly revenue: number | null;
  readonly quantity: number | null;
  readonly measures: Readonly<Partial<Record<Measure, Thresholds>>>;
}

export const MARKS = [70, 80, 90, 95] as const;

const NOTHING: Thresholds = {
  total: 0,
  cuts: [],
  counts: [],
  rows: [],
  revenue: [],
  quantity: [],
  covered: [],
  points: [],
  needless: 0,
};

export const thresholds = (facts: Facts, measure: Measure): Thresholds => facts.measures[measure] ?? NOTHING;

/** Whether a filter is one that the chart sets; widgets/coverage.py says the same. */
function measureOf(filter: Filter, side: Side): Measure | null {
  if (filter.side !== side) return null;
  if (filter.kind === "top_revenue") return "revenue";
  const open = ["maximum", "above", "below"].every((bound) => (filter[bound] ?? null) === null);
  const measure = filter.measure as Measure;
  return filter.kind === "aggregate" && open && (measure === "rows" || measure === "quantity") ? measure : null;
}

/** Return the measure that the draft's threshold is about. */
export function measured(draft: Draft, side: Side): Measure | null {
  for (const filter of draft.filters) {
    const measure = measureOf(filter, side);
    if (measure) return measure;
  }
  return null;
}

/** Return the threshold in percent, or null when there is none by this measure.
 *
 * Of several percents that keep the same, `at` is preferred: it is where the user has put it.
 */
export function threshold(draft: Draft, facts: Facts, measure: Measure, at: number | null = null): number | null {
  const found = draft.filters.find((filter) => measureOf(filter, facts.side) === measure);
  if (!found) return null;
  if (measure === "revenue") return found.percent ?? null;
  const { cuts } = thresholds(facts, measure);
  const value = Number(found.minimum);
  if (at !== null && cuts[at] === value) return at;
  return cuts.reduce<number>((best, cut, percent) => (cut !== null && cut >= value ? percent : best), 0);
}

/** Set the threshold: it replaces that of its side, and takes the last place, as in Python. */
export function setThreshold(draft: Draft, facts: Facts, measure: Measure, percent: number): Draft {
  const { side } = facts;
  const kept = draft.filters.filter((filter) => measureOf(filter, side) === null);
  const standing = draft.filters.filter((filter) => measureOf(filter, side) !== null);
  if (measure === "revenue") {
    const same = standing.length === 1 && standing[0]?.kind === "top_revenue" && standing[0].percent === percent;
    return same ? draft : { ...draft, filters: [...kept, { kind: "top_revenue", side, percent }] };
  }
  const minimum = thresholds(facts, measure).cuts[Math.ceil(percent)] ?? null;
  const [first] = standing;
  if (minimum === null || (standing.length === 1 && first?.measure === measure && first.minimum === minimum))
    return draft;
  const filter = { kind: "aggregate", side, measure, minimum, maximum: null, above: null, below: null };
  return { ...draft, filters: [...kept, filter] };
}

/** Remove the threshold: every entity stays. */
export function clearThreshold(draft: Draft, side: Side): Draft {
  return { ...draft, filters: draft.filters.filter((filter) => measureOf(filter, side) === null) };
}

/** Bring a dragged place to a whole percent that the filter takes. */
export function snap(percent: number): number {
  return Math.min(100, Math.max(1, Math.round(percent)));
}

export interface Kept {
  readonly count: number;
  readonly share: number;
  readonly rows: number | null;
  readonly revenue: number | null;
  readonly quantity: number | null;
  /** How many of the other side appear in the rows that are kept. */
  readonly covered: number | null;
  /** False between whole percents of revenue, where the counts are upper bounds. */
  readonly exact: boolean;
}

/** Return what stays at a threshold; exact at whole percents. */
export function kept(facts: Facts, measure: Measure, percent: number | null): Kept {
  const { entities, others } = facts;
  if (percent === null) {
    const { rows, revenue, quantity } = facts;
    return { count: entities, share: entities === 0 ? 0 : 100, rows, revenue, quantity, covered: others, exact: true };
  }
  const known = thresholds(facts, measure);
  const at = Math.ceil(percent);
  const count = known.counts[at] ?? entities;
  return {
    count,
    share: entities === 0 ? 0 : (100 * count) / entities,
    rows: known.rows[at] ?? null,
    revenue: known.revenue[at] ?? null,
    quantity: known.quantity[at] ?? null,
    covered: known.covered[at] ?? null,
    exact: measure !== "revenue" || Number.isInteger(percent),
  };
}
