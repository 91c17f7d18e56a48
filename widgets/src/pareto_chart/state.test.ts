import assert from "node:assert/strict";
import { test } from "node:test";
import { clearThreshold, type Draft, type Facts, kept, revenueAt, setThreshold, snap, threshold } from "./state";

const draft: Draft = {
  name: "sales",
  filters: [
    { kind: "top_revenue", side: "product", percent: 80 },
    { kind: "top_revenue", side: "buyer", percent: 95 },
    { kind: "min_count", side: "product", count: 3 },
  ],
};

const facts = {
  entities: 200,
  counts_at: Array.from({ length: 101 }, (_, percent) => percent * 2),
} as unknown as Facts;

test("a new threshold replaces the one of its side only, and takes the last place", () => {
  const next = setThreshold(draft, "product", 70);
  assert.equal(threshold(next, "product"), 70);
  assert.equal(threshold(next, "buyer"), 95);
  assert.deepEqual(
    next.filters.map((filter) => filter.kind),
    ["top_revenue", "min_count", "top_revenue"],
  );
});

test("the draft that was given is not touched", () => {
  const before = JSON.stringify(draft);
  setThreshold(draft, "product", 70);
  clearThreshold(draft, "buyer");
  assert.equal(JSON.stringify(draft), before);
});

test("the same threshold is no change", () => assert.equal(setThreshold(draft, "product", 80), draft));

test("without the filter everything is kept", () => {
  const open = clearThreshold(draft, "product");
  assert.equal(threshold(open, "product"), null);
  assert.deepEqual(kept(facts, null), { count: 200, share: 100, exact: true });
});

test("counts are exact at whole percents and bounds between them", () => {
  assert.deepEqual(kept(facts, 40), { count: 80, share: 40, exact: true });
  assert.deepEqual(kept(facts, 40.5), { count: 82, share: 41, exact: false });
});

test("dragging stays within what the filter takes", () => {
  assert.deepEqual([-5, 0.2, 79.6, 130].map(snap), [1, 1, 80, 100]);
});

test("the curve is read by straight lines between its points", () => {
  const points = [
    { count: 1, entity_percent: 10, revenue_percent: 50 },
    { count: 10, entity_percent: 100, revenue_percent: 100 },
  ];
  assert.equal(revenueAt(points, 5), 25);
  assert.equal(revenueAt(points, 55), 75);
  assert.equal(revenueAt([], 55), 0);
});
