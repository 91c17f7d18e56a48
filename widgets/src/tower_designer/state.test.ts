import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addColumn,
  addLayer,
  type Draft,
  drop,
  type Facts,
  layers,
  moveLayer,
  places,
  removeLayer,
  setDim,
  setLayer,
  tower,
} from "./state";

const feature = (column: string, dim?: number) => ({
  column,
  transforms: [{ kind: "scale" }, ...(dim === undefined ? [] : [{ kind: "embedding", dim }])],
  reason: "",
});
const dense = (units: number) => ({ kind: "dense", units }) as const;
const draft: Draft = {
  features: {
    name: "f",
    buyer_tower: { features: [feature("buyer", 32)], crosses: [] },
    product_tower: { features: [], crosses: [] },
  },
  model: {
    name: "m",
    buyer_layers: [dense(1), dense(2), dense(3)],
    product_layers: [dense(9)],
    embedding_dim: 32,
  },
};
const offers = { buyer: { feature: feature("sku", 8), width: 9, text: "" }, product: null };
const facts = {
  columns: [
    { name: "sku", type: "STRING", role: null, offers },
    { name: "buyer", type: "STRING", role: "user", offers: { buyer: offers.buyer, product: offers.buyer } },
  ],
} as unknown as Facts;
const units = (state: Draft, side: "buyer" | "product") => layers(state, side).map((layer) => layer.units);

test("a layer moves forward, backward and to the other tower", () => {
  assert.deepEqual(units(moveLayer(draft, "buyer", 0, "buyer", 3), "buyer"), [2, 3, 1]);
  assert.deepEqual(units(moveLayer(draft, "buyer", 2, "buyer", 0), "buyer"), [3, 1, 2]);
  const over = moveLayer(draft, "buyer", 1, "product", 1);
  assert.deepEqual(
    [units(over, "buyer"), units(over, "product")],
    [
      [1, 3],
      [9, 2],
    ],
  );
});

test("a layer dropped beside itself stays", () => {
  assert.equal(moveLayer(draft, "buyer", 1, "buyer", 1), draft);
  assert.equal(moveLayer(draft, "buyer", 1, "buyer", 2), draft);
});

test("a layer may go to every slot but those beside it", () => {
  const found = places(draft, facts, { what: "layer", side: "buyer", index: 1 });
  assert.deepEqual(
    found.map((place) => (place.what === "slot" ? `${place.side}${place.index}` : "?")),
    ["buyer0", "buyer3", "product0", "product1"],
  );
});

test("a column goes only where Python offers it and where it is not yet", () => {
  assert.deepEqual(places(draft, facts, { what: "column", column: "sku" }), [{ what: "tower", side: "buyer" }]);
  assert.deepEqual(places(draft, facts, { what: "column", column: "buyer" }), [{ what: "tower", side: "product" }]);
  assert.equal(addColumn(draft, facts, "product", "sku"), draft);
  assert.equal(addColumn(draft, facts, "buyer", "buyer"), draft);
});

test("a feature moves to the other tower, or back to the columns", () => {
  const moved = drop(
    draft,
    facts,
    { what: "feature", side: "buyer", column: "buyer" },
    { what: "tower", side: "product" },
  );
  assert.deepEqual([tower(moved, "buyer").features.length, tower(moved, "product").features.length], [0, 1]);
  const gone = drop(draft, facts, { what: "feature", side: "buyer", column: "buyer" }, { what: "bench" });
  assert.equal(tower(gone, "buyer").features.length, 0);
});

test("the width of the learned vector changes, other transforms stay", () => {
  const [first] = tower(setDim(draft, "buyer", "buyer", 64), "buyer").features;
  assert.deepEqual(first?.transforms, [{ kind: "scale" }, { kind: "embedding", dim: 64 }]);
});

test("layers are added, changed and removed in one tower only", () => {
  const more = addLayer(draft, "product", "dropout");
  assert.deepEqual(layers(more, "product").at(-1), { kind: "dropout", rate: 0.2 });
  assert.deepEqual(layers(setLayer(more, "product", 1, { rate: 0.5 }), "product")[1], { kind: "dropout", rate: 0.5 });
  assert.deepEqual(removeLayer(more, "product", 1), draft);
});
