import "../kit/theme.css";
import "./style.css";
import type { Announce } from "../kit/announce";
import type { DragRules } from "../kit/drag";
import { type Action, renderer } from "../kit/mount";
import {
  addLayer,
  type Draft,
  drop,
  type Facts,
  type LayerKind,
  places,
  readPlace,
  readThing,
  removeColumn,
  removeLayer,
  type Side,
  setDim,
  setEmbeddingDim,
  setLayer,
  write,
} from "./state";
import { type Designer, draw, SIDE_NAMES } from "./view";

function act(session: Designer, { name, phase, data, value }: Action, announce: Announce): void {
  const { draft } = session;
  const side = data.side as Side;
  const index = Number(data.index);
  const column = data.column ?? "";
  if (name === "add") {
    session.commit(addLayer(draft, side, data.kind as LayerKind));
  } else if (name === "remove") {
    session.commit(removeLayer(draft, side, index));
    announce(`Layer ${index + 1} of the ${side} tower removed.`);
  } else if (name === "out") {
    session.commit(removeColumn(draft, side, column));
    announce(`${column} taken out of the ${side} tower.`);
  } else if (phase === "change" && value.trim() !== "") {
    if (name === "activation") session.commit(setLayer(draft, side, index, { activation: value }));
    if (name === "units") session.commit(setLayer(draft, side, index, { units: Number(value) }));
    if (name === "rate") session.commit(setLayer(draft, side, index, { rate: Number(value) }));
    if (name === "dim") session.commit(setDim(draft, side, column, Number(value)));
    if (name === "end") session.commit(setEmbeddingDim(draft, Number(value)));
  }
}

function call(key: string): string {
  const item = JSON.parse(key) as ReturnType<typeof readThing> | ReturnType<typeof readPlace>;
  if (item.what === "column" || item.what === "feature") return item.column;
  if (item.what === "bench") return "the columns";
  if (item.what === "tower") return SIDE_NAMES[item.side];
  if (item.what === "layer") return `layer ${item.index + 1} of the ${item.side} tower`;
  return `place ${item.index + 1} of the ${item.side} tower`;
}

function drag(session: Designer): DragRules {
  return {
    targets: (source) => places(session.draft, session.facts, readThing(source)).map(write),
    group: (target) => {
      const place = readPlace(target);
      return place.what === "bench" ? "" : place.side;
    },
    name: call,
    drop: (source, target) => session.commit(drop(session.draft, session.facts, readThing(source), readPlace(target))),
  };
}

export default { render: renderer<Draft, Facts>({ title: "Tower designer", draw, act, drag }) };
