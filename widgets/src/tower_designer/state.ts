// Two towers of features and layers: pure functions from draft to draft. Python checks the result and does the sums.
import type { BaseFacts } from "../kit/sync";

export const SIDES = ["buyer", "product"] as const;
export type Side = (typeof SIDES)[number];

export const LAYER_KINDS = ["dense", "dropout", "batch_norm", "layer_norm"] as const;
export type LayerKind = (typeof LAYER_KINDS)[number];

export const ACTIVATIONS = ["relu", "gelu", "elu", "selu", "tanh", "sigmoid", "linear"] as const;

export interface Transform {
  readonly kind: string;
  readonly dim?: number;
  readonly [field: string]: unknown;
}

export interface Feature {
  readonly column: string;
  readonly transforms: readonly Transform[];
  readonly reason: string;
}

export interface Tower {
  readonly features: readonly Feature[];
  readonly crosses: readonly { readonly columns: readonly string[]; readonly [field: string]: unknown }[];
}

export interface Layer {
  readonly kind: LayerKind;
  readonly units?: number;
  readonly activation?: string;
  readonly rate?: number;
  readonly [field: string]: unknown;
}

/** A FeatureConfig's and a ModelConfig's JSON. */
export interface Draft {
  readonly features: {
    readonly name: string;
    readonly buyer_tower: Tower;
    readonly product_tower: Tower;
    readonly [field: string]: unknown;
  };
  readonly model: {
    readonly name: string;
    readonly buyer_layers: readonly Layer[];
    readonly product_layers: readonly Layer[];
    readonly embedding_dim: number;
    readonly [field: string]: unknown;
  };
}

export interface Offer {
  readonly feature: Feature;
  readonly width: number;
  readonly text: string;
}

export interface TowerFacts {
  readonly width: number;
  readonly parameters: number;
  readonly features: readonly { readonly column: string; readonly width: number; readonly text: string }[];
  readonly crosses: readonly { readonly width: number; readonly text: string }[];
  /** Every layer with its widths and parameters; the last is the projection. */
  readonly flow: readonly {
    readonly text: string;
    readonly before: number;
    readonly after: number;
    readonly parameters: number;
  }[];
}

export interface Facts extends BaseFacts {
  readonly columns: readonly {
    readonly name: string;
    readonly type: string;
    readonly role: string | null;
    /** How the column would enter each tower; null where it cannot. */
    readonly offers: Readonly<Record<Side, Offer | null>>;
  }[];
  readonly towers: Readonly<Record<Side, TowerFacts>>;
  readonly score: string;
}

export const tower = (draft: Draft, side: Side): Tower => draft.features[`${side}_tower`];
export const layers = (draft: Draft, side: Side): readonly Layer[] => draft.model[`${side}_layers`];

function withFeatures(draft: Draft, side: Side, features: readonly Feature[]): Draft {
  const changed = { ...tower(draft, side), features };
  return { ...draft, features: { ...draft.features, [`${side}_tower`]: changed } };
}

function withLayers(draft: Draft, side: Side, changed: readonly Layer[]): Draft {
  return { ...draft, model: { ...draft.model, [`${side}_layers`]: changed } };
}

export function has(draft: Draft, side: Side, column: string): boolean {
  return tower(draft, side).features.some((feature) => feature.column === column);
}

export function offer(facts: Facts, side: Side, column: string): Offer | null {
  return facts.columns.find((item) => item.name === column)?.offers[side] ?? null;
}

/** Put a column into a tower, as Python offers it. */
export function addColumn(draft: Draft, facts: Facts, side: Side, column: string): Draft {
  const found = offer(facts, side, column);
  if (!found || has(draft, side, column)) return draft;
  return withFeatures(draft, side, [...tower(draft, side).features, found.feature]);
}

export function removeColumn(draft: Draft, side: Side, column: string): Draft {
  return withFeatures(
    draft,
    side,
    tower(draft, side).features.filter((feature) => feature.column !== column),
  );
}

/** Set the width of a feature's learned vector. */
export function setDim(draft: Draft, side: Side, column: string, dim: number): Draft {
  const features = tower(draft, side).features.map((feature) => {
    if (feature.column !== column) return feature;
    const at = feature.transforms.findIndex((transform) => transform.dim !== undefined);
    const transforms = feature.transforms.map((transform, index) => (index === at ? { ...transform, dim } : transform));
    return { ...feature, transforms };
  });
  return withFeatures(draft, side, features);
}

const FRESH: Record<LayerKind, Layer> = {
  dense: { kind: "dense", units: 64, activation: "relu", l1: 0, l2: 0 },
  dropout: { kind: "dropout", rate: 0.2 },
  batch_norm: { kind: "batch_norm" },
  layer_norm: { kind: "layer_norm", epsilon: 1e-6 },
};

/** Add a layer at the end of a tower, before the projection. */
export function addLayer(draft: Draft, side: Side, kind: LayerKind): Draft {
  return withLayers(draft, side, [...layers(draft, side), FRESH[kind]]);
}

export function removeLayer(draft: Draft, side: Side, index: number): Draft {
  return withLayers(
    draft,
    side,
    layers(draft, side).filter((_, at) => at !== index),
  );
}

export function setLayer(draft: Draft, side: Side, index: number, part: Partial<Layer>): Draft {
  return withLayers(
    draft,
    side,
    layers(draft, side).map((layer, at) => (at === index ? { ...layer, ...part } : layer)),
  );
}

/** Move a layer into the slot before the `to`-th layer of a tower, its own or the other. */
export function moveLayer(draft: Draft, from: Side, index: number, side: Side, to: number): Draft {
  const layer = layers(draft, from)[index];
  if (!layer || (from === side && (to === index || to === index + 1))) return draft;
  const without = removeLayer(draft, from, index);
  const at = from === side && to > index ? to - 1 : to;
  const target = layers(without, side);
  return withLayers(without, side, [...target.slice(0, at), layer, ...target.slice(at)]);
}

export function setEmbeddingDim(draft: Draft, dim: number): Draft {
  return { ...draft, model: { ...draft.model, embedding_dim: dim } };
}

// -- what can be dragged, and where to ----------------------------------------------------------

export type Thing =
  | { readonly what: "column"; readonly column: string }
  | { readonly what: "feature"; readonly side: Side; readonly column: string }
  | { readonly what: "layer"; readonly side: Side; readonly index: number };

export type Place =
  | { readonly what: "tower"; readonly side: Side }
  | { readonly what: "bench" }
  | { readonly what: "slot"; readonly side: Side; readonly index: number };

export const write = (item: Thing | Place): string => JSON.stringify(item);
export const readThing = (key: string): Thing => JSON.parse(key) as Thing;
export const readPlace = (key: string): Place => JSON.parse(key) as Place;

/** Return where a thing may be dropped, in reading order. */
export function places(draft: Draft, facts: Facts, thing: Thing): Place[] {
  if (thing.what === "layer") {
    return SIDES.flatMap((side) =>
      Array.from(
        { length: layers(draft, side).length + 1 },
        (_, index): Place => ({ what: "slot", side, index }),
      ).filter(
        (place) =>
          place.what === "slot" &&
          (side !== thing.side || (place.index !== thing.index && place.index !== thing.index + 1)),
      ),
    );
  }
  const towers = SIDES.filter((side) => !has(draft, side, thing.column) && offer(facts, side, thing.column) !== null);
  const found: Place[] = towers.map((side) => ({ what: "tower", side }));
  return thing.what === "feature" ? [{ what: "bench" }, ...found] : found;
}

/** Drop a thing on one of its places. */
export function drop(draft: Draft, facts: Facts, thing: Thing, place: Place): Draft {
  if (thing.what === "layer") {
    return place.what === "slot" ? moveLayer(draft, thing.side, thing.index, place.side, place.index) : draft;
  }
  const rest = thing.what === "feature" ? removeColumn(draft, thing.side, thing.column) : draft;
  return place.what === "tower" ? addColumn(rest, facts, place.side, thing.column) : rest;
}
