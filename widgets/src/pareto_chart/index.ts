import "../kit/theme.css";
import "./style.css";
import { type Action, renderer } from "../kit/mount";
import type { Session } from "../kit/sync";
import { clearThreshold, type Draft, type Facts, type Measure, setThreshold, snap } from "./state";
import { BOX, draw, measureShown, percentAt } from "./view";

type Chart = Session<Draft, Facts>;

/** Put the threshold somewhere; of percents that keep the same, the page keeps the one that was asked for. */
function put(session: Chart, percent: number, gesture: string | null = null): void {
  const measure = measureShown(session);
  if (measure !== "revenue") session.look({ at: percent });
  session.commit(setThreshold(session.draft, session.facts, measure, percent), gesture);
}

function act(session: Chart, action: Action): void {
  const { draft, facts } = session;
  if (action.name === "clear") {
    session.commit(clearThreshold(draft, facts.side));
  } else if (action.name === "measure" && action.phase === "change") {
    session.look({ measure: action.value as Measure, at: null });
  } else if (action.name === "slide") {
    put(session, snap(Number(action.value)), "slide");
    if (action.phase === "change") session.settle();
  } else if (action.name === "mark") {
    put(session, Number(action.data.percent));
  } else if (action.name === "type" && action.phase === "change" && action.value.trim() !== "") {
    // What is typed goes to Python as it is: a wrong number comes back as a problem.
    const typed = Number(action.value);
    put(session, measureShown(session) === "revenue" ? typed : snap(typed));
  }
}

/** Let the threshold be dragged on the chart itself; the range input is its keyboard twin. */
function listen(root: HTMLElement, session: Chart): () => void {
  let held = false;
  const move = (event: PointerEvent) => {
    const chart = root.querySelector("[data-chart]");
    if (!held || !chart) return;
    const box = chart.getBoundingClientRect();
    const percent = snap(percentAt(((event.clientY - box.top) / box.height) * BOX.height));
    put(session, percent, "drag");
  };
  const down = (event: PointerEvent) => {
    if (event.button !== 0 || !(event.target instanceof Element) || !event.target.closest("[data-chart]")) return;
    held = true;
    root.setPointerCapture(event.pointerId);
    move(event);
  };
  const release = () => {
    if (held) session.settle();
    held = false;
  };
  root.addEventListener("pointerdown", down);
  root.addEventListener("pointermove", move);
  root.addEventListener("pointerup", release);
  root.addEventListener("pointercancel", release);
  return () => {
    root.removeEventListener("pointerdown", down);
    root.removeEventListener("pointermove", move);
    root.removeEventListener("pointerup", release);
    root.removeEventListener("pointercancel", release);
  };
}

export default { render: renderer<Draft, Facts>({ title: "Revenue threshold", draw, act, listen }) };
