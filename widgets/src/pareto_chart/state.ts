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

export interface Point {
  readonly count: number;
  readonly entity_percent: number;
  readonly revenue_percent: number;
}

export interface Facts extends BaseFacts {
  readonly side: Side;
  readonly entities: number;
  readonly revenue: number;
  readonly points: readonly Point[];
  /** How many entities make so many percent of the revenue, for 0 to 100. */
  readonly counts_at: readonly number[];
  /** Entities whose revenue is not positive. */
  readonly negative: number;
}

export const MARKS = [70, 80, 90, 95] as const;

function mine(filter: Filter, side: Side): boolean {
  return filter.kind === "top_revenue" && filter.side === side;
}

/** Return the threshold, or null when there is no such filter. */
export function threshold(draft: Draft, side: Side): number | null {
  return draft.filters.find((filter) => mine(filter, side))?.percent ?? null;
}

/** Set the threshold; as in Python, the new filter takes the last place. */
export function setThreshold(draft: Draft, side: Side, percent: number): Draft {
  if (threshold(draft, side) === percent) return draft;
  const kept = draft.filters.filter((filter) => !mine(filter, side));
  return { ...draft, filters: [...kept, { kind: "top_revenue", side, percent }] };
}

/** Remove the filter: every entity stays. */
export function clearThreshold(draft: Draft, side: Side): Draft {
  return { ...draft, filters: draft.filters.filter((filter) => !mine(filter, side)) };
}

/** Bring a dragged place to a whole percent that the filter takes. */
export function snap(percent: number): number {
  return Math.min(100, Math.max(1, Math.round(percent)));
}

export interface Kept {
  readonly count: number;
  readonly share: number;
  /** False between whole percents, where the count is an upper bound. */
  readonly exact: boolean;
}

/** Return how many entities stay at a threshold; exact at whole percents. */
export function kept(facts: Facts, percent: number | null): Kept {
  const count = percent === null ? facts.entities : (facts.counts_at[Math.ceil(percent)] ?? facts.entities);
  const share = facts.entities === 0 ? 0 : (100 * count) / facts.entities;
  return { count, share, exact: percent === null || Number.isInteger(percent) };
}

/** Return the revenue share (percent) that the first so many entities make, on the curve. */
export function revenueAt(points: readonly Point[], entityPercent: number): number {
  let before = { entity_percent: 0, revenue_percent: 0 };
  for (const point of points) {
    if (point.entity_percent >= entityPercent) {
      const width = point.entity_percent - before.entity_percent;
      const part = width === 0 ? 1 : (entityPercent - before.entity_percent) / width;
      return before.revenue_percent + part * (point.revenue_percent - before.revenue_percent);
    }
    before = point;
  }
  return before.revenue_percent;
}
