import assert from "node:assert/strict";
import { test } from "node:test";
import { clearThreshold, type Draft, type Facts, kept, measured, setThreshold, snap, threshold } from "./state";

const draft: Draft = {
  name: "sales",
  filters: [
    { kind: "top_revenue", side: "product", percent: 80 },
    { kind: "top_revenue", side: "buyer", percent: 95 },
    { kind: "min_count", side: "product", count: 3 },
  ],
};
const each = (value: (percent: number) => number) => Array.from({ length: 101 }, (_, percent) => value(percent));

const known = {
  total: 1,
  counts: each((p) => p * 2),
  rows: each((p) => p * 3),
  revenue: [],
  quantity: [],
  covered: [],
};
const facts = {
  side: "product",
  entities: 200,
  rows: 300,
  others: 7,
  revenue: 5,
  quantity: null,
  measures: {
    revenue: { ...known, cuts: [] },
    rows: { ...known, cuts: [null, ...each((p) => Math.ceil((100 - p) / 10)).slice(0, 100)] },
  },
} as unknown as Facts;

test("a new threshold replaces the one of its side only, and takes the last place", () => {
  const next = setThreshold(draft, facts, "revenue", 70);
  assert.equal(threshold(next, facts, "revenue"), 70);
  assert.equal(threshold(next, { ...facts, side: "buyer" }, "revenue"), 95);
  assert.deepEqual(
    next.filters.map((filter) => filter.kind),
    ["top_revenue", "min_count", "top_revenue"],
  );
});

test("a threshold by rows is a least number of rows, and replaces that by revenue", () => {
  const next = setThreshold(draft, facts, "rows", 45);
  assert.deepEqual(next.filters.at(-1), {
    kind: "aggregate",
    side: "product",
    measure: "rows",
    minimum: 6,
    maximum: null,
    above: null,
    below: null,
  });
  assert.equal(measured(next, "product"), "rows");
  assert.equal(threshold(next, facts, "revenue"), null);
  assert.equal(threshold(next, facts, "rows", 45), 45);
  assert.equal(threshold(next, facts, "rows"), 50);
  assert.equal(setThreshold(next, facts, "rows", 46), next);
});

test("a filter with an upper bound is no threshold", () => {
  const bounded = { ...draft, filters: [{ kind: "aggregate", side: "product", measure: "rows", maximum: 9 } as const] };
  assert.equal(measured(bounded, "product"), null);
  assert.equal(clearThreshold(bounded, "product").filters.length, 1);
});

test("the draft that was given is not touched", () => {
  const before = JSON.stringify(draft);
  setThreshold(draft, facts, "revenue", 70);
  clearThreshold(draft, "buyer");
  assert.equal(JSON.stringify(draft), before);
});

test("the same threshold is no change", () => assert.equal(setThreshold(draft, facts, "revenue", 80), draft));

test("without the filter everything is kept", () => {
  const open = clearThreshold(draft, "product");
  assert.equal(threshold(open, facts, "revenue"), null);
  const all = { count: 200, share: 100, rows: 300, revenue: 5, quantity: null, covered: 7, exact: true };
  assert.deepEqual(kept(facts, "revenue", null), all);
});

test("counts are exact at whole percents and bounds between them", () => {
  const whole = { count: 80, share: 40, rows: 120, revenue: null, quantity: null, covered: null, exact: true };
  assert.deepEqual(kept(facts, "revenue", 40), whole);
  assert.deepEqual([kept(facts, "revenue", 40.5).count, kept(facts, "revenue", 40.5).exact], [82, false]);
});

test("dragging stays within what the filter takes", () => {
  assert.deepEqual([-5, 0.2, 79.6, 130].map(snap), [1, 1, 80, 100]);
});
