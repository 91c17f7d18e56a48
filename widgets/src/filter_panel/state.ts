// A dataset's filters: pure functions from draft to draft, and from form to form. Python checks the result.
import type { BaseFacts, Problem } from "../kit/sync";

export const KINDS = ["dates", "category", "numbers", "date_range", "top_revenue", "min_count", "aggregate"] as const;
export type Kind = (typeof KINDS)[number];
export type Side = "buyer" | "product";
export type Scalar = string | number | boolean;
export const MEASURES = ["rows", "partners", "revenue", "average_revenue", "quantity"] as const;

export interface Filter {
  readonly kind: Kind;
  readonly side?: Side;
  readonly column?: string;
  readonly values?: readonly Scalar[];
  readonly [field: string]: unknown;
}

/** A Dataset's JSON; only the filters are changed here. */
export interface Draft {
  readonly name: string;
  readonly filters: readonly Filter[];
  readonly sequential: boolean;
  readonly role: Readonly<Record<string, string | null>>;
  readonly [field: string]: unknown;
}

export interface Column {
  readonly name: string;
  readonly type: string;
  /** Whether single values can be chosen. */
  readonly lists: boolean;
}

export interface Kept {
  readonly rows: number;
  readonly buyers: number | null;
  readonly products: number | null;
  readonly revenue: number | null;
}

export interface Step extends Kept {
  readonly label: string;
  readonly alone: number | null;
}

type Bar = readonly [from: number | string, to: number | string, rows: number];

export interface Look {
  readonly column: string;
  readonly search: string;
  readonly error?: string;
  readonly rows: number;
  readonly nulls: number;
  readonly distinct: number;
  readonly values: readonly (readonly [Scalar, number])[];
  readonly matching: number;
  readonly minimum?: number | string | null;
  readonly maximum?: number | string | null;
  readonly bars?: readonly Bar[];
}

export interface Facts extends BaseFacts {
  readonly columns: readonly Column[];
  readonly numbers: readonly string[];
  readonly times: readonly string[];
  /** What the library says of each filter, in the draft's order. */
  readonly labels: readonly string[];
  readonly stamp: string;
  /** Whether there is a warehouse that counts. */
  readonly counts: boolean;
  readonly kept: {
    readonly stamp: string;
    readonly error: string;
    readonly steps: readonly Step[];
    readonly undone: readonly (readonly [string, number])[];
  } | null;
  readonly look: Look | null;
  readonly form: {
    readonly number: number;
    readonly problems: readonly Problem[];
    readonly text: string;
    readonly kept: Kept | null;
  } | null;
}

/** A filter that is being written; it lives in the view until it is applied. */
export interface Form {
  readonly number: number;
  /** The place of the filter that it replaces; null for a new one. */
  readonly index: number | null;
  readonly filter: Filter;
  /** Whether anything was entered: before that, what is missing is not called wrong. */
  readonly touched: boolean;
  readonly search: string;
  /** Which bound leaves out the value itself; counts while the bound has no number yet. */
  readonly strict: { readonly low: boolean; readonly high: boolean };
}

export const ENTITIES: readonly Kind[] = ["top_revenue", "min_count", "aggregate"];

/** Where a filter stands in the order of evaluation; data/what_if.py says the same. */
export function place(filter: Filter, sequential: boolean): number {
  if (!ENTITIES.includes(filter.kind)) return filter.kind === "dates" ? 0 : 1;
  return sequential && filter.side === "buyer" ? 3 : 2;
}

/** Return the places of a draft's filters as they are evaluated. */
export function ordered(draft: Draft): number[] {
  const at = (index: number): number => place(draft.filters[index] as Filter, draft.sequential);
  return draft.filters.map((_, index) => index).sort((a, b) => at(a) - at(b) || a - b);
}

function sorted(draft: Draft): Draft {
  return { ...draft, filters: ordered(draft).map((index) => draft.filters[index] as Filter) };
}

/** Take a written filter into the draft: numbers then count in the order of evaluation. */
export function apply(draft: Draft, form: Form): Draft {
  const filters =
    form.index === null
      ? [...draft.filters, form.filter]
      : draft.filters.map((filter, index) => (index === form.index ? form.filter : filter));
  return sorted({ ...draft, filters });
}

export function remove(draft: Draft, index: number): Draft {
  return sorted({ ...draft, filters: draft.filters.filter((_, at) => at !== index) });
}

export function setSequential(draft: Draft, sequential: boolean): Draft {
  return sorted({ ...draft, sequential });
}

/** Return the columns that a filter of a kind can use. */
export function columnsFor(kind: Kind, facts: Facts): readonly Column[] {
  if (kind === "category") return facts.columns.filter((column) => column.lists);
  const types = kind === "numbers" ? facts.numbers : kind === "dates" || kind === "date_range" ? facts.times : [];
  return facts.columns.filter((column) => types.includes(column.type));
}

/** Say why a filter of a kind cannot be written; empty if it can. */
export function hindrance(kind: Kind, draft: Draft, facts: Facts): string {
  const { user, product, revenue } = draft.role;
  if (!ENTITIES.includes(kind)) {
    const what =
      kind === "numbers" ? "a column of numbers" : kind === "category" ? "a column of values" : "a date or time";
    return columnsFor(kind, facts).length > 0 ? "" : `The dataset has no ${what.replace(/^an? /, "")}.`;
  }
  if (!user && !product) return "Needs the role of the buyer or the product.";
  return kind === "top_revenue" && !revenue ? "Needs the role of the revenue." : "";
}

const BOUNDS = { minimum: null, maximum: null, above: null, below: null } as const;

/** Return an empty filter of a kind. */
export function blank(kind: Kind, draft: Draft, facts: Facts): Filter {
  const used = new Set(draft.filters.map((filter) => filter.column));
  const columns = columnsFor(kind, facts);
  const column = (columns.find(({ name }) => !used.has(name)) ?? columns[0])?.name ?? "";
  const side: Side = draft.role.product ? "product" : "buyer";
  switch (kind) {
    case "dates":
      return { kind, column: draft.role.timestamp ?? column, rolling_days: null, start: null, end: null };
    case "category":
      return { kind, side, column, values: [], mode: "include", include_nulls: false };
    case "numbers":
      return { kind, side, column, ...BOUNDS, include_nulls: false };
    case "date_range":
      return { kind, side, column, last_days: null, start: null, end: null, include_nulls: false };
    case "top_revenue":
      return { kind, side, percent: 80 };
    case "min_count":
      return { kind, side, count: 2 };
    case "aggregate":
      return { kind, side, measure: "rows", ...BOUNDS };
  }
}

/** Read what was typed; Python says what is wrong with what is no number. */
export function numberOf(text: string): number | string | null {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  const value = Number(trimmed);
  return Number.isFinite(value) ? value : trimmed;
}

export interface Bound {
  readonly field: "minimum" | "above" | "maximum" | "below";
  readonly value: unknown;
}

/** Return the lower or upper bound of a range, and which field holds it. */
export function bound({ filter, strict: asked }: Form, end: "low" | "high"): Bound {
  const [kept, beyond] = end === "low" ? (["minimum", "above"] as const) : (["maximum", "below"] as const);
  const none = (filter[kept] ?? filter[beyond] ?? null) === null;
  const field = (none ? asked[end] : (filter[beyond] ?? null) !== null) ? beyond : kept;
  return { field, value: filter[field] ?? null };
}

export function setBound(filter: Filter, end: "low" | "high", field: string, value: unknown): Filter {
  const cleared = end === "low" ? { minimum: null, above: null } : { maximum: null, below: null };
  return { ...filter, ...cleared, [field]: value };
}

/** Keep the rows from one bar to another; the end bars are open. */
export function setBars(filter: Filter, bars: readonly Bar[], a: number, b: number): Filter {
  const [first, last] = a <= b ? [a, b] : [b, a];
  const low = first === 0 ? null : (bars[first]?.[0] ?? null);
  if (filter.kind === "numbers") {
    const high = last === bars.length - 1 ? null : (bars[last]?.[1] ?? null);
    return { ...filter, minimum: low, above: null, maximum: null, below: high };
  }
  const rolling = filter.kind === "dates" ? { rolling_days: null } : { last_days: null };
  return { ...filter, ...rolling, start: low, end: last === bars.length - 1 ? null : (bars[last]?.[1] ?? null) };
}

/** Whether a bar holds rows that the filter keeps. */
export function inBar(filter: Filter, [from, to]: Bar, place: "first" | "last" | "" = ""): boolean {
  if (filter.kind === "numbers") {
    const low = (filter.minimum ?? filter.above ?? null) as number | null;
    const high = (filter.maximum ?? filter.below ?? null) as number | null;
    const under = high !== null && (filter.maximum === high ? high < Number(from) : high <= Number(from));
    return !(low !== null && low >= Number(to) && place !== "last") && !(under && place !== "first");
  }
  const [start, end] = [filter.start as string | null, filter.end as string | null];
  return !(start && start > String(to)) && !(end && end < String(from));
}

export const isTicked = (filter: Filter, value: Scalar): boolean =>
  (filter.values ?? []).some((other) => String(other) === String(value));

/** Tick or untick values, keeping the order in which they were chosen. */
export function tick(filter: Filter, values: readonly Scalar[], on: boolean): Filter {
  const standing = filter.values ?? [];
  if (on) return { ...filter, values: [...standing, ...values.filter((value) => !isTicked(filter, value))] };
  const names = new Set(values.map(String));
  return { ...filter, values: standing.filter((value) => !names.has(String(value))) };
}

/** Keep or drop: NULL stays when values are dropped, as in Python. */
export function setMode(filter: Filter, mode: string): Filter {
  return { ...filter, mode, include_nulls: mode === "exclude" };
}

/** Say what a filter is about until Python has said it. */
export function sketch(filter: Filter): string {
  const about = filter.column ?? `${filter.side ?? ""}s`;
  return `${about}: ${filter.kind.replace("_", " ")}`;
}
