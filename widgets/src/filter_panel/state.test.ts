import assert from "node:assert/strict";
import { test } from "node:test";
import {
  apply,
  blank,
  bound,
  type Draft,
  type Facts,
  type Filter,
  type Form,
  hindrance,
  inBar,
  numberOf,
  ordered,
  remove,
  setBars,
  setBound,
  setMode,
  setSequential,
  tick,
} from "./state";

const facts = {
  columns: [
    { name: "sku", type: "STRING", lists: true },
    { name: "day", type: "DATE", lists: false },
    { name: "revenue", type: "FLOAT64", lists: true },
  ],
  numbers: ["FLOAT64"],
  times: ["DATE"],
} as unknown as Facts;
const top: Filter = { kind: "top_revenue", side: "product", percent: 80 };
const least: Filter = { kind: "min_count", side: "buyer", count: 3 };
const values: Filter = { kind: "category", side: "product", column: "sku", values: ["a"], mode: "include" };
const days: Filter = { kind: "dates", column: "day", rolling_days: 90 };
const draft: Draft = {
  name: "d",
  filters: [least, top, values],
  sequential: false,
  role: { user: "buyer", product: "sku", timestamp: "day", revenue: "revenue" },
};
const form = (filter: Filter, index: number | null = null): Form => ({
  number: 1,
  index,
  filter,
  touched: true,
  search: "",
  strict: { low: false, high: false },
});

test("filters are evaluated dates first, then rows, then whole buyers and products", () => {
  assert.deepEqual(ordered({ ...draft, filters: [least, top, values, days] }), [3, 2, 0, 1]);
  assert.deepEqual(ordered({ ...draft, sequential: true }), [2, 1, 0]);
});

test("a written filter is taken in at its place; the draft that was given is not touched", () => {
  const before = JSON.stringify(draft);
  assert.deepEqual(apply(draft, form(days)).filters, [days, values, least, top]);
  assert.deepEqual(apply(draft, form({ ...top, percent: 70 }, 1)).filters[2], { ...top, percent: 70 });
  assert.deepEqual(remove(draft, 1).filters, [values, least]);
  assert.deepEqual(setSequential(draft, true).filters, [values, top, least]);
  assert.equal(JSON.stringify(draft), before);
});

test("an empty filter takes a column that is free, and the timestamp for a window", () => {
  assert.equal(blank("category", draft, facts).column, "revenue");
  assert.equal(blank("dates", draft, facts).column, "day");
  assert.equal(hindrance("numbers", draft, { ...facts, columns: [] }), "The dataset has no column of numbers.");
  assert.match(hindrance("top_revenue", { ...draft, role: { product: "sku" } }, facts), /revenue/);
});

test("a bound is one of two fields, never both", () => {
  const range = setBound(blank("numbers", draft, facts), "low", "above", 3);
  assert.deepEqual(bound(form(range), "low"), { field: "above", value: 3 });
  assert.deepEqual(bound(form(setBound(range, "low", "minimum", 3)), "low"), { field: "minimum", value: 3 });
  assert.deepEqual([" ", "3.5", "x"].map(numberOf), [null, 3.5, "x"]);
});

test("bars set the range, the end bars leave it open", () => {
  const bars = [[0, 10, 5] as const, [10, 20, 6] as const, [20, 30, 1] as const];
  const middle = setBars(blank("numbers", draft, facts), bars, 1, 1);
  assert.deepEqual([middle.minimum, middle.below], [10, 20]);
  assert.deepEqual(
    bars.map((bar) => inBar(middle, bar)),
    [false, true, false],
  );
  const open = setBars(middle, bars, 2, 0);
  assert.deepEqual([open.minimum, open.below], [null, null]);
  const week = setBars(
    blank("dates", draft, facts),
    [
      ["2024-01-01", "2024-01-07", 2],
      ["2024-01-08", "2024-01-14", 3],
    ],
    1,
    1,
  );
  assert.deepEqual([week.start, week.end, week.rolling_days], ["2024-01-08", null, null]);
});

test("values are ticked and unticked in the order in which they were chosen", () => {
  const two = tick(values, ["b"], true);
  assert.deepEqual(two.values, ["a", "b"]);
  assert.deepEqual(tick(two, ["a", "c"], true).values, ["a", "b", "c"]);
  assert.deepEqual(tick(two, ["a"], false).values, ["b"]);
  assert.equal(setMode(values, "exclude").include_nulls, true);
});
