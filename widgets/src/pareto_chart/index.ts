import "../kit/theme.css";
import "./style.css";
import { type Action, renderer } from "../kit/mount";
import type { Session } from "../kit/sync";
import { clearThreshold, type Draft, type Facts, setThreshold, snap } from "./state";
import { BOX, draw, percentAt } from "./view";

type Chart = Session<Draft, Facts>;

function act(session: Chart, action: Action): void {
  const { draft, facts } = session;
  if (action.name === "clear") {
    session.commit(clearThreshold(draft, facts.side));
  } else if (action.name === "slide") {
    session.commit(setThreshold(draft, facts.side, snap(Number(action.value))), "slide");
    if (action.phase === "change") session.settle();
  } else if (action.name === "mark") {
    session.commit(setThreshold(draft, facts.side, Number(action.data.percent)));
  } else if (action.name === "type" && action.phase === "change" && action.value.trim() !== "") {
    // What is typed goes to Python as it is: a wrong number comes back as a problem.
    session.commit(setThreshold(draft, facts.side, Number(action.value)));
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
    session.commit(setThreshold(session.draft, session.facts.side, percent), "drag");
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
