import "../kit/theme.css";
import "./style.css";
import type { Announce } from "../kit/announce";
import type { DragRules } from "../kit/drag";
import { type Action, renderer } from "../kit/mount";
import {
  columnKey,
  connect,
  type Draft,
  type Facts,
  type How,
  type Role,
  readKey,
  removeTable,
  setHow,
  setRole,
  targets,
  toggle,
} from "./state";
import { type Builder, draw, drawLines } from "./view";

function act(session: Builder, { name, phase, data, value }: Action, announce: Announce): void {
  const { draft, facts } = session;
  const alias = data.alias ?? "";
  if (name === "fold") {
    const open = (session.view.open as Record<string, boolean> | undefined) ?? {};
    session.look({ open: { ...open, [alias]: data.open === "true" } });
  } else if (name === "remove") {
    session.commit(removeTable(draft, facts, alias));
    announce(`${alias} removed.`);
  } else if (phase === "change") {
    if (name === "how") session.commit(setHow(draft, alias, value as How));
    const column = data.column === undefined ? null : readKey(data.column);
    if (column && name === "tick") session.commit(toggle(draft, facts, column));
    if (column && name === "role") session.commit(setRole(draft, facts, column, value === "" ? null : (value as Role)));
  }
}

function drag(session: Builder): DragRules {
  return {
    targets: (source) => targets(session.draft, session.facts, readKey(source)).map((pair) => columnKey(...pair)),
    first: (source, places) => {
      const [, column] = readKey(source);
      return places.find((place) => readKey(place)[1] === column);
    },
    group: (target) => readKey(target)[0],
    name: (key) => readKey(key).join("."),
    drop: (source, target) => session.commit(connect(session.draft, session.facts, readKey(source), readKey(target))),
  };
}

/** Redraw the lines when the cards move: fonts arrive, the cell is resized, a hidden tab is shown. */
function listen(root: HTMLElement, session: Builder): () => void {
  const observer = new ResizeObserver(() => drawLines(root, session));
  observer.observe(root);
  return () => observer.disconnect();
}

export default {
  render: renderer<Draft, Facts>({ title: "Schema builder", draw, act, drag, listen, drawn: drawLines }),
};
