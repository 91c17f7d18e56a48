import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addPair,
  connect,
  type Draft,
  type Facts,
  freeAlias,
  isSelected,
  type Join,
  layers,
  nextPair,
  removeComputed,
  removePair,
  removeTable,
  roleOf,
  setHow,
  setRole,
  targets,
  toggle,
  withAgain,
} from "./state";

const column = (name: string) => ({ name, type: "STRING", nullable: true });
const table = (alias: string, ...names: string[]) => ({ name: alias, alias, columns: names.map(column) });
const none = { user: null, product: null, timestamp: null, revenue: null, quantity: null };

const draft: Draft = {
  name: "d",
  tables: [table("lines", "sku", "buyer")],
  joins: [],
  selected: [],
  renamed: [],
  role: { ...none, user: "buyer" },
};
const facts = {
  available: [
    { ...table("items", "sku", "brand"), rows: 3 },
    { ...table("brands", "brand"), rows: null },
  ],
  output: [
    ["lines", "sku", "sku"],
    ["lines", "buyer", "buyer"],
    ["items", "sku", "items_sku"],
    ["items", "brand", "brand"],
  ],
} as unknown as Facts;
const joined = connect(draft, facts, ["lines", "sku"], ["items", "sku"]);
const chain = connect(joined, facts, ["items", "brand"], ["brands", "brand"]);

test("a column dropped on another table's column joins that table", () => {
  assert.deepEqual(joined.joins, [{ left: "lines", right: "items", on: [["sku", "sku"]], how: "left" }]);
  assert.deepEqual(
    joined.tables.map((item) => item.alias),
    ["lines", "items"],
  );
});

test("dragging from the new table to the dataset makes the same join", () => {
  assert.deepEqual(connect(draft, facts, ["items", "sku"], ["lines", "sku"]), joined);
});

test("a second pair of columns goes to the join that stands", () => {
  const twice = connect(joined, facts, ["items", "brand"], ["lines", "buyer"]);
  assert.deepEqual(twice.joins[0]?.on, [
    ["sku", "sku"],
    ["buyer", "brand"],
  ]);
  assert.equal(connect(twice, facts, ["lines", "sku"], ["items", "sku"]), twice);
  assert.deepEqual(removePair(twice, facts, "items", 1), joined);
});

test("only tables that are not joined, or are joined to the source, can receive", () => {
  const places = targets(chain, facts, ["lines", "sku"]).map(([alias]) => alias);
  assert.deepEqual([...new Set(places)], ["items"]);
  assert.deepEqual([...new Set(targets(draft, facts, ["items", "sku"]).map(([alias]) => alias))], ["lines"]);
});

test("removing a table takes what hangs on it, and their roles", () => {
  const rich = setRole(chain, facts, ["items", "brand"], "product");
  assert.equal(rich.role.product, "brand");
  const back = removeTable(rich, facts, "items");
  assert.deepEqual(back, draft);
});

test("the kind of join changes", () => assert.equal(setHow(joined, "items", "inner").joins[0]?.how, "inner"));

test("unticking one names all others, ticking it again names none", () => {
  const fewer = toggle(joined, facts, ["items", "sku"]);
  assert.deepEqual(fewer.selected, [
    ["lines", "sku"],
    ["lines", "buyer"],
    ["items", "brand"],
  ]);
  assert.equal(isSelected(fewer, ["items", "sku"]), false);
  assert.deepEqual(toggle(fewer, facts, ["items", "sku"]), joined);
});

test("the last column cannot be unticked", () => {
  let one = toggle(draft, facts, ["lines", "sku"]);
  one = toggle(one, facts, ["lines", "buyer"]);
  assert.deepEqual(one.selected, [["lines", "buyer"]]);
});

test("unticking a column takes its role away", () => {
  assert.equal(toggle(draft, facts, ["lines", "buyer"]).role.user, null);
});

test("a role moves from one column to another, and a column has one role", () => {
  const moved = setRole(draft, facts, ["lines", "sku"], "user");
  assert.equal(moved.role.user, "sku");
  const other = setRole(moved, facts, ["lines", "sku"], "product");
  assert.deepEqual([other.role.user, other.role.product], [null, "sku"]);
  assert.equal(roleOf(other, facts, ["lines", "sku"]), "product");
  assert.equal(setRole(other, facts, ["lines", "sku"], null).role.product, null);
});

test("tables stand in layers by their distance from the first", () => {
  assert.deepEqual(layers(chain), [["lines"], ["items"], ["brands"]]);
});

test("a table that is joined can be joined once more, under an alias that is free", () => {
  const more = withAgain(joined, facts, [{ name: "items", alias: "items_2" }]);
  const twice = connect(joined, more, ["items", "sku"], ["items_2", "sku"]);
  assert.deepEqual(twice.joins[1], { left: "items", right: "items_2", on: [["sku", "sku"]], how: "left" });
  assert.equal(twice.tables[2]?.name, "items");
  assert.equal(freeAlias(twice, more, "items"), "items_3");
  assert.equal(withAgain(twice, facts, [{ name: "items", alias: "items_2" }]), facts);
});

test("one more pair starts at a column that is not joined on yet, and is taken once", () => {
  const { left, pair } = nextPair(joined, joined.joins[0] as Join);
  assert.deepEqual(
    [left, pair],
    [
      ["sku", "buyer"],
      ["buyer", "sku"],
    ],
  );
  const two = addPair(joined, "items", ["buyer", "brand"]);
  assert.deepEqual(two.joins[0]?.on[1], ["buyer", "brand"]);
  assert.equal(addPair(two, "items", ["buyer", "brand"]), two);
  assert.equal(addPair(two, "nothing", ["a", "b"]), two);
});

test("a computed column goes with its role", () => {
  const item = { name: "value", expression: "1", type: "FLOAT64" };
  const rich: Draft = { ...draft, computed: [item], role: { ...draft.role, revenue: "value" } };
  const poor = removeComputed(rich, "value");
  assert.deepEqual([poor.computed, poor.role.revenue, poor.role.user], [[], null, "buyer"]);
});
