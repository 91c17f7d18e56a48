// A dataset's tables, joins, columns and roles: pure functions from draft to draft. Python checks the result.
import type { BaseFacts } from "../kit/sync";

export const HOWS = ["left", "inner", "right", "full"] as const;
export type How = (typeof HOWS)[number];

export const ROLES = ["user", "product", "timestamp", "revenue", "quantity"] as const;
export type Role = (typeof ROLES)[number];

export interface Column {
  readonly name: string;
  readonly type: string;
  readonly nullable: boolean;
}

export interface Table {
  readonly name: string;
  readonly alias: string;
  readonly columns: readonly Column[];
}

export interface Join {
  readonly left: string;
  readonly right: string;
  readonly on: readonly (readonly [string, string])[];
  readonly how: How;
}

export interface Computed {
  readonly name: string;
  readonly expression: string;
  readonly type: string;
}

/** A table that is wanted once more, under an alias of its own; it lives in the view until it is joined. */
export interface Again {
  readonly name: string;
  readonly alias: string;
}

type Pair = readonly [alias: string, column: string];

/** A Dataset's JSON. */
export interface Draft {
  readonly name: string;
  readonly tables: readonly Table[];
  readonly joins: readonly Join[];
  readonly selected: readonly Pair[];
  readonly renamed: readonly (readonly [string, string, string])[];
  readonly computed?: readonly Computed[];
  readonly role: Readonly<Record<Role, string | null>>;
  readonly [field: string]: unknown;
}

export interface Facts extends BaseFacts {
  /** Tables that can still be joined. */
  readonly available: readonly (Table & { readonly rows: number | null })[];
  readonly rows: Readonly<Record<string, number>>;
  /** (alias, column, name in the result) of the columns that are selected. */
  readonly output: readonly (readonly [string, string, string])[];
  /** Types that a role takes; a role that is not listed takes all. */
  readonly role_types: Readonly<Record<string, readonly string[]>>;
}

const same = (a: Pair, b: Pair): boolean => a[0] === b[0] && a[1] === b[1];

/** Name a column of a table in one string, for the page's own use. */
export const columnKey = (alias: string, column: string): string => JSON.stringify([alias, column]);

export function readKey(key: string): Pair {
  const [alias, column] = JSON.parse(key) as [string, string];
  return [alias, column];
}

export function isJoined(draft: Draft, alias: string): boolean {
  return draft.tables.some((table) => table.alias === alias);
}

/** Add the tables that are wanted once more to those that can be joined. */
export function withAgain(draft: Draft, facts: Facts, again: readonly Again[]): Facts {
  const more = again.flatMap(({ name, alias }) => {
    const known = draft.tables.find((table) => table.name === name);
    return known && !isJoined(draft, alias) ? [{ name, alias, columns: known.columns, rows: null }] : [];
  });
  return more.length === 0 ? facts : { ...facts, available: [...facts.available, ...more] };
}

/** Return an alias for a table that nothing has yet. */
export function freeAlias(draft: Draft, facts: Facts, name: string): string {
  const taken = new Set(shownTables(draft, facts).map((table) => table.alias));
  let number = 2;
  while (taken.has(`${name}_${number}`)) number += 1;
  return `${name}_${number}`;
}

/** Return every table that is shown: the dataset's, then those that can be joined. */
export function shownTables(draft: Draft, facts: Facts): Table[] {
  return [...draft.tables, ...facts.available.filter((table) => !isJoined(draft, table.alias))];
}

/** Return the columns onto which a column may be dropped, in reading order. */
export function targets(draft: Draft, facts: Facts, source: Pair): Pair[] {
  const sourceJoined = isJoined(draft, source[0]);
  return shownTables(draft, facts)
    .filter((table) => table.alias !== source[0])
    .filter((table) => {
      const joined = isJoined(draft, table.alias);
      return joined !== sourceJoined || (joined && between(draft, table.alias, source[0]) !== undefined);
    })
    .flatMap((table) => table.columns.map((column): Pair => [table.alias, column.name]));
}

function between(draft: Draft, a: string, b: string): Join | undefined {
  return draft.joins.find((join) => (join.left === a && join.right === b) || (join.left === b && join.right === a));
}

/** Join on two columns: a new table, or one more pair of columns of a join that stands. */
export function connect(draft: Draft, facts: Facts, source: Pair, target: Pair): Draft {
  const standing = between(draft, source[0], target[0]);
  if (standing) {
    const [left, right] = standing.left === source[0] ? [source, target] : [target, source];
    const pair = [left[1], right[1]] as const;
    if (standing.on.some((other) => same(other, pair))) return draft;
    return changeJoin(draft, standing.right, { on: [...standing.on, pair] });
  }
  const [left, right] = isJoined(draft, source[0]) ? [source, target] : [target, source];
  const found = facts.available.find((table) => table.alias === right[0]);
  if (!found || !isJoined(draft, left[0])) return draft;
  const { name, alias, columns } = found;
  const join: Join = { left: left[0], right: alias, on: [[left[1], right[1]]], how: "left" };
  const selected = draft.selected.length === 0 ? [] : [...draft.selected, ...columns.map((c): Pair => [alias, c.name])];
  return { ...draft, tables: [...draft.tables, { name, alias, columns }], joins: [...draft.joins, join], selected };
}

/** Join on one more pair of columns. */
export function addPair(draft: Draft, right: string, pair: readonly [string, string]): Draft {
  const join = draft.joins.find((other) => other.right === right);
  if (!join || join.on.some((other) => same(other, pair))) return draft;
  return changeJoin(draft, right, { on: [...join.on, pair] });
}

/** Return the columns of both tables, and the pair that is likeliest to come next: of one name, not joined on yet. */
export function nextPair(
  draft: Draft,
  join: Join,
): { left: string[]; right: string[]; pair: readonly [string, string] } {
  const names = (alias: string) =>
    draft.tables.find((table) => table.alias === alias)?.columns.map((c) => c.name) ?? [];
  const [left, right] = [names(join.left), names(join.right)];
  const free = left.filter((name) => !join.on.some(([a]) => a === name));
  const both = free.find((name) => right.includes(name)) ?? free[0] ?? left[0] ?? "";
  return { left, right, pair: [both, right.includes(both) ? both : (right[0] ?? "")] };
}

/** Remove a computed column, and the role that it has. */
export function removeComputed(draft: Draft, name: string): Draft {
  const role = { ...draft.role };
  for (const each of ROLES) if (role[each] === name) role[each] = null;
  return { ...draft, computed: (draft.computed ?? []).filter((item) => item.name !== name), role };
}

function changeJoin(draft: Draft, right: string, part: Partial<Join>): Draft {
  return { ...draft, joins: draft.joins.map((join) => (join.right === right ? { ...join, ...part } : join)) };
}

/** Change how a table is joined. */
export function setHow(draft: Draft, right: string, how: How): Draft {
  return changeJoin(draft, right, { how });
}

/** Take one pair of columns out of a join; with the last one the table goes. */
export function removePair(draft: Draft, facts: Facts, right: string, index: number): Draft {
  const join = draft.joins.find((other) => other.right === right);
  if (!join) return draft;
  if (join.on.length === 1) return removeTable(draft, facts, right);
  return changeJoin(draft, right, { on: join.on.filter((_, at) => at !== index) });
}

/** Remove a joined table, those that hang on it, and the roles of their columns. */
export function removeTable(draft: Draft, facts: Facts, alias: string): Draft {
  const gone = new Set([alias]);
  for (const join of draft.joins) if (gone.has(join.left)) gone.add(join.right);
  const lost = new Set(facts.output.filter(([owner]) => gone.has(owner)).map(([, , name]) => name));
  const role = { ...draft.role };
  for (const name of ROLES) if (lost.has(role[name] ?? "")) role[name] = null;
  return {
    ...draft,
    tables: draft.tables.filter((table) => !gone.has(table.alias)),
    joins: draft.joins.filter((join) => !gone.has(join.right)),
    selected: draft.selected.filter(([owner]) => !gone.has(owner)),
    renamed: draft.renamed.filter(([owner]) => !gone.has(owner)),
    role,
  };
}

export function isSelected(draft: Draft, pair: Pair): boolean {
  return draft.selected.length === 0 || draft.selected.some((other) => same(other, pair));
}

/** Tick or untick a column. All ticked is written as none named: columns added later come along. */
export function toggle(draft: Draft, facts: Facts, pair: Pair): Draft {
  const all = draft.tables.flatMap((table) => table.columns.map((column): Pair => [table.alias, column.name]));
  const wanted = all.filter((other) => (same(other, pair) ? !isSelected(draft, pair) : isSelected(draft, other)));
  if (wanted.length === 0) return draft;
  const role = { ...draft.role };
  if (isSelected(draft, pair)) {
    const name = outputName(facts, pair);
    for (const each of ROLES) if (role[each] !== null && role[each] === name) role[each] = null;
  }
  return { ...draft, selected: wanted.length === all.length ? [] : wanted, role };
}

export function outputName(facts: Facts, pair: Pair): string | undefined {
  return facts.output.find(([alias, column]) => alias === pair[0] && column === pair[1])?.[2];
}

export function roleOf(draft: Draft, facts: Facts, pair: Pair): Role | null {
  const name = outputName(facts, pair);
  return name === undefined ? null : (ROLES.find((role) => draft.role[role] === name) ?? null);
}

/** Give a column a role, or none; the role leaves the column that had it. */
export function setRole(draft: Draft, facts: Facts, pair: Pair, role: Role | null): Draft {
  const name = outputName(facts, pair);
  if (name === undefined) return draft;
  const next = { ...draft.role };
  for (const each of ROLES) if (next[each] === name) next[each] = null;
  if (role) next[role] = name;
  return { ...draft, role: next };
}

/** Return how far each table is from the first one, by joins. */
export function layers(draft: Draft): string[][] {
  const depth = new Map<string, number>([[draft.tables[0]?.alias ?? "", 0]]);
  for (const join of draft.joins) depth.set(join.right, (depth.get(join.left) ?? 0) + 1);
  const found: string[][] = [];
  for (const table of draft.tables) {
    const at = depth.get(table.alias) ?? 0;
    found[at] = [...(found[at] ?? []), table.alias];
  }
  // Within a layer, tables stand in the order of the columns they hang on: fewer crossings.
  const place = (alias: string): number => {
    const join = draft.joins.find((other) => other.right === alias);
    const parent = draft.tables.findIndex((table) => table.alias === join?.left);
    const column = draft.tables[parent]?.columns.findIndex((item) => item.name === join?.on[0]?.[0]) ?? 0;
    return parent * 10_000 + column;
  };
  return found.filter(Boolean).map((layer) => layer.sort((a, b) => place(a) - place(b)));
}
