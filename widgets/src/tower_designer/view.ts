// Draws the columns and the two towers.
import { html, type Markup, when } from "../kit/html";
import { problemList, python, toolbar } from "../kit/parts";
import type { Session } from "../kit/sync";
import {
  ACTIVATIONS,
  type Draft,
  type Facts,
  type Feature,
  has,
  LAYER_KINDS,
  type Layer,
  type LayerKind,
  layers,
  SIDES,
  type Side,
  tower,
  write,
} from "./state";

export type Designer = Session<Draft, Facts>;

export const SIDE_NAMES: Record<Side, string> = { buyer: "Buyer tower", product: "Product tower" };
const LAYER_NAMES: Record<LayerKind, string> = {
  dense: "Dense",
  dropout: "Dropout",
  batch_norm: "Batch norm",
  layer_norm: "Layer norm",
};
const whole = new Intl.NumberFormat("en");
const count = (parameters: number): string => `${whole.format(parameters)} parameter${parameters === 1 ? "" : "s"}`;

function chip(session: Designer, column: Facts["columns"][number]): Markup {
  const { draft } = session;
  const sides = SIDES.filter((side) => has(draft, side, column.name));
  const offered = column.offers.buyer ?? column.offers.product;
  const title = offered === null ? `${column.type} is not used yet` : `${column.type}, as ${offered.text}`;
  const key = write({ what: "column", column: column.name });
  return html`<span class="chip${sides.length > 0 ? " used" : ""}" data-key="${key}" data-drag="${key}" role="button" tabindex="0"
    title="${title}" aria-roledescription="draggable column"
    >${column.name} <span class="width">${offered ? offered.width : "–"}<span class="b2b-hidden"> wide</span></span>${sides.map(
      (side) => html`<span class="in">${side}</span>`,
    )}</span>`;
}

function featureRow(session: Designer, side: Side, feature: Feature): Markup {
  const told = session.facts.towers[side].features.find((item) => item.column === feature.column);
  const key = write({ what: "feature", side, column: feature.column });
  const learned = feature.transforms.find((transform) => transform.dim !== undefined);
  const width =
    learned && feature.transforms.length === 1
      ? html`<input type="number" min="1" max="1024" step="1" data-act="dim" data-side="${side}" data-column="${feature.column}"
          aria-label="Width of ${feature.column} in the ${side} tower" value="${learned.dim}"/>`
      : html`<span class="width">${told ? told.width : "…"}</span>`;
  return html`<li class="feature" data-key="${key}" title="${feature.reason}">
    <span class="name" data-drag="${key}" role="button" tabindex="0" aria-roledescription="draggable feature"
      aria-label="${feature.column} in the ${side} tower">${feature.column}</span>
    <span class="b2b-soft text">${told?.text ?? ""}</span>${width}
    <button type="button" class="b2b-icon" data-act="out" data-side="${side}" data-column="${feature.column}"
      aria-label="Take ${feature.column} out of the ${side} tower">×</button></li>`;
}

function fields(side: Side, layer: Layer, index: number): Markup {
  if (layer.kind === "dense") {
    return html`<input type="number" min="1" max="8192" step="1" data-act="units" data-side="${side}" data-index="${index}"
        aria-label="Units of layer ${index + 1}, ${side} tower" value="${layer.units}"/>
      <select data-act="activation" data-side="${side}" data-index="${index}" aria-label="Activation of layer ${index + 1}, ${side} tower">
        ${ACTIVATIONS.map((name) => html`<option value="${name}"${when(name === layer.activation, "selected")}>${name}</option>`)}
      </select>`;
  }
  if (layer.kind === "dropout") {
    return html`<input type="number" min="0" max="0.99" step="0.05" data-act="rate" data-side="${side}" data-index="${index}"
      aria-label="Rate of layer ${index + 1}, ${side} tower" value="${layer.rate}"/>`;
  }
  return html``;
}

function flow(session: Designer, side: Side, index: number): Markup {
  const row = session.facts.towers[side].flow[index];
  if (!session.fresh || !row) return html`<span class="flow b2b-soft">…</span>`;
  return html`<span class="flow"><b>${whole.format(row.before)} → ${whole.format(row.after)}</b>
    <span class="b2b-soft">${count(row.parameters)}</span></span>`;
}

function slot(side: Side, index: number): Markup {
  const key = write({ what: "slot", side, index });
  return html`<li class="slot" data-key="${key}" data-drop="${key}" aria-hidden="true"></li>`;
}

function layerCard(session: Designer, side: Side, layer: Layer, index: number): Markup {
  const key = write({ what: "layer", side, index });
  return html`<li class="step" data-key="${key}">
    <span class="name" data-drag="${key}" role="button" tabindex="0" aria-roledescription="draggable layer"
      aria-label="${LAYER_NAMES[layer.kind]}, layer ${index + 1} of the ${side} tower">${LAYER_NAMES[layer.kind]}</span>
    <span class="fields">${fields(side, layer, index)}</span>${flow(session, side, index)}
    <button type="button" class="b2b-icon" data-act="remove" data-side="${side}" data-index="${index}"
      aria-label="Remove layer ${index + 1} of the ${side} tower">×</button></li>`;
}

function column(session: Designer, side: Side): Markup {
  const { draft, facts } = session;
  const told = facts.towers[side];
  const { features } = tower(draft, side);
  const stack = layers(draft, side);
  const key = write({ what: "tower", side });
  const faulty = session.problems.some((item) => item.severity === "error" && item.field.startsWith(side));
  return html`<section class="tower${faulty ? " faulty" : ""}" data-key="tower ${side}" aria-label="${SIDE_NAMES[side]}">
    <header class="b2b-bar"><p class="b2b-title">${SIDE_NAMES[side]}</p><span class="b2b-grow"></span>
      <span class="b2b-soft">${session.fresh ? `${told.width} wide · ${count(told.parameters)}` : "…"}</span></header>
    <ul class="features" data-drop="${key}" aria-label="Features of the ${side} tower">
      ${features.map((feature) => featureRow(session, side, feature))}
      ${told.crosses.map((cross) => html`<li class="feature"><span class="name">${cross.text}</span><span></span><span class="width">${cross.width}</span></li>`)}
      ${features.length === 0 ? html`<li class="empty b2b-soft">Drag columns here</li>` : ""}
    </ul>
    <ol class="stack" aria-label="Layers of the ${side} tower">
      ${stack.map((layer, index) => [slot(side, index), layerCard(session, side, layer, index)])}
      ${slot(side, stack.length)}
      <li class="step fixed" data-key="projection"><span class="name">Projection</span>
        <span class="fields"><input type="number" min="8" max="512" step="1" data-act="end" data-side="${side}"
          aria-label="Width of both towers' ends, ${side} tower" value="${draft.model.embedding_dim}"/></span>
        ${flow(session, side, stack.length)}</li>
    </ol>
    <footer class="add">${LAYER_KINDS.map(
      (kind) => html`<button type="button" class="b2b-button" data-act="add" data-side="${side}" data-kind="${kind}"
        aria-label="Add ${LAYER_NAMES[kind].toLowerCase()} to the ${side} tower">+ ${LAYER_NAMES[kind]}</button>`,
    )}</footer>
  </section>`;
}

export function draw(session: Designer): Markup {
  const { draft, facts } = session;
  return html`${toolbar(draft.model.name, `on ${draft.features.name}`, session)}
    <div class="bench" data-drop="${write({ what: "bench" })}" role="group" aria-label="Columns">
      ${facts.columns.map((item) => chip(session, item))}</div>
    <div class="towers">${SIDES.map((side) => column(session, side))}</div>
    <p class="score b2b-soft">${facts.score}</p>
    ${problemList(session.problems)}${python(facts.code, session.fresh)}`;
}
