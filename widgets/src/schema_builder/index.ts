import "../kit/theme.css";
import "./style.css";
import type { Announce } from "../kit/announce";
import type { DragRules } from "../kit/drag";
import { type Action, renderer } from "../kit/mount";
import {
  addPair,
  columnKey,
  connect,
  type Draft,
  type Facts,
  freeAlias,
  type How,
  nextPair,
  type Role,
  readKey,
  removeComputed,
  removePair,
  removeTable,
  setHow,
  setRole,
  shownTables,
  targets,
  toggle,
} from "./state";
import { againOf, type Builder, draw, drawLines, factsOf, placesOf } from "./view";

/** What is only in the view: tables wanted once more, pairs being chosen, places. */
function look(session: Builder, { name, phase, data, value }: Action, announce: Announce): void {
  const { draft } = session;
  const facts = factsOf(session);
  const alias = data.alias ?? "";
  if (name === "again") {
    const table = draft.tables.find((item) => item.alias === alias);
    if (!table) return;
    const wanted = freeAlias(draft, facts, table.name);
    session.focusNext = `[data-act="alias"][data-alias="${CSS.escape(wanted)}"]`;
    session.look({ again: [...againOf(session), { name: table.name, alias: wanted }] });
    announce(`${wanted}: drag a column onto it to join.`);
  } else if (name === "forget") {
    session.look({ again: againOf(session).filter((item) => item.alias !== alias) });
  } else if (name === "alias" && phase === "change") {
    const text = value.trim();
    const taken = shownTables(draft, facts).some((table) => table.alias === text);
    if (text === "" || (taken && text !== alias)) announce(`${text || "An empty alias"} cannot be used.`);
    else
      session.look({ again: againOf(session).map((item) => (item.alias === alias ? { ...item, alias: text } : item)) });
  } else if (name === "pair" && phase === "change") {
    const join = draft.joins.find((item) => item.right === alias);
    if (!join) return;
    const all = (session.view.pairs as Record<string, [string, string]> | undefined) ?? {};
    const pair = [...(all[alias] ?? nextPair(draft, join).pair)];
    pair[Number(data.end)] = value;
    session.look({ pairs: { ...all, [alias]: pair } });
  } else if (name === "tidy") session.look({ places: {} });
}

function act(session: Builder, action: Action, announce: Announce): void {
  const { name, phase, data, value } = action;
  const { draft } = session;
  const facts = factsOf(session);
  const alias = data.alias ?? "";
  if (name === "fold") {
    const open = (session.view.open as Record<string, boolean> | undefined) ?? {};
    session.look({ open: { ...open, [alias]: data.open === "true" } });
  } else if (name === "remove") {
    session.commit(removeTable(draft, facts, alias));
    announce(`${alias} removed.`);
  } else if (name === "unpair") {
    session.commit(removePair(draft, facts, alias, Number(data.index)));
  } else if (name === "addpair") {
    session.look({ pairs: { ...((session.view.pairs as object | undefined) ?? {}), [alias]: undefined } });
    session.commit(addPair(draft, alias, JSON.parse(data.pair ?? "[]") as [string, string]));
  } else if (name === "uncompute") {
    session.commit(removeComputed(draft, data.name ?? ""));
    announce(`${data.name} removed.`);
  } else if (["again", "forget", "alias", "pair", "tidy"].includes(name)) {
    look(session, action, announce);
  } else if (phase === "change") {
    if (name === "how") session.commit(setHow(draft, alias, value as How));
    const column = data.column === undefined ? null : readKey(data.column);
    if (column && name === "tick") session.commit(toggle(draft, facts, column));
    if (column && name === "role") session.commit(setRole(draft, facts, column, value === "" ? null : (value as Role)));
  }
}

function drag(session: Builder): DragRules {
  return {
    targets: (source) => targets(session.draft, factsOf(session), readKey(source)).map((pair) => columnKey(...pair)),
    first: (source, places) => {
      const [, column] = readKey(source);
      return places.find((place) => readKey(place)[1] === column);
    },
    group: (target) => readKey(target)[0],
    name: (key) => readKey(key).join("."),
    drop: (source, target) =>
      session.commit(connect(session.draft, factsOf(session), readKey(source), readKey(target))),
  };
}

const STEP = 24;
const ARROWS: Record<string, readonly [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** Move a table's card, never out of the board's corner; its place is the page's own. */
function move(root: HTMLElement, session: Builder, alias: string, x: number, y: number): void {
  const card = root.querySelector<HTMLElement>(`[data-grip="${CSS.escape(alias)}"]`)?.closest<HTMLElement>(".card");
  if (!card) return;
  const at = [Math.max(4 - card.offsetLeft, Math.round(x)), Math.max(4 - card.offsetTop, Math.round(y))] as const;
  session.look({ places: { ...placesOf(session), [alias]: at } });
}

/** Move cards by their headers, and redraw the lines when cards move: fonts arrive, the cell is resized. */
function listen(root: HTMLElement, session: Builder): () => void {
  const observer = new ResizeObserver(() => drawLines(root, session));
  observer.observe(root);
  let held: { alias: string; x: number; y: number } | null = null;
  const place = (alias: string) => placesOf(session)[alias] ?? [0, 0];
  const down = (event: PointerEvent) => {
    const target = event.target instanceof Element ? event.target : null;
    if (event.button !== 0 || !target || target.closest("[data-act]")) return;
    const alias = target.closest<HTMLElement>("[data-move]")?.dataset.move;
    if (alias === undefined) return;
    const [x, y] = place(alias);
    held = { alias, x: x - event.clientX, y: y - event.clientY };
    root.setPointerCapture(event.pointerId);
  };
  const drag = (event: PointerEvent) => {
    if (held) move(root, session, held.alias, held.x + event.clientX, held.y + event.clientY);
  };
  const up = () => {
    held = null;
  };
  const key = (event: KeyboardEvent) => {
    const alias = event.target instanceof HTMLElement ? event.target.dataset.grip : undefined;
    const way = ARROWS[event.key];
    if (alias === undefined || !way) return;
    event.preventDefault();
    const [x, y] = place(alias);
    move(root, session, alias, x + STEP * way[0], y + STEP * way[1]);
  };
  root.addEventListener("pointerdown", down);
  root.addEventListener("pointermove", drag);
  root.addEventListener("pointerup", up);
  root.addEventListener("pointercancel", up);
  root.addEventListener("keydown", key);
  return () => {
    observer.disconnect();
    root.removeEventListener("pointerdown", down);
    root.removeEventListener("pointermove", drag);
    root.removeEventListener("pointerup", up);
    root.removeEventListener("pointercancel", up);
    root.removeEventListener("keydown", key);
  };
}

export default {
  render: renderer<Draft, Facts>({ title: "Schema builder", draw, act, drag, listen, drawn: drawLines }),
};
