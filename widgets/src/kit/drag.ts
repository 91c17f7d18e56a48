// Drag and drop by pointer, and the same by keyboard: Space lifts, arrows move, Enter drops, Escape cancels.
// Elements name themselves: data-drag="key" can be lifted, data-drop="key" can receive.
import type { Announce } from "./announce";

export interface DragRules {
  /** Keys of the places where the thing may be dropped, in reading order. */
  targets(source: string): readonly string[];
  /** Where the keyboard starts; default: the first target. */
  first?(source: string, targets: readonly string[]): string | undefined;
  /** Group of a target: left and right arrows go from group to group. */
  group?(target: string): string;
  /** How to call a thing or a place aloud. */
  name(key: string): string;
  drop(source: string, target: string): void;
}

type Lift = { source: string; target: string | null; element: HTMLElement; by: "key" | "pointer" };

const THRESHOLD = 4;

export interface Dragging {
  /** Mark the places again after the root was redrawn. */
  refresh(): void;
  stop(): void;
}

/** Make the root's marked elements draggable. */
export function dragging(root: HTMLElement, rules: DragRules, announce: Announce): Dragging {
  let lift: Lift | null = null;
  let start: { x: number; y: number; source: string; element: HTMLElement; id: number } | null = null;
  let ghost: HTMLElement | null = null;

  const place = (key: string) => root.querySelector<HTMLElement>(`[data-drop="${CSS.escape(key)}"]`);
  const origin = (key: string) => root.querySelector<HTMLElement>(`[data-drag="${CSS.escape(key)}"]`);

  function mark(): void {
    for (const element of root.querySelectorAll(".b2b-lifted, .b2b-target, .b2b-can-drop")) {
      element.classList.remove("b2b-lifted", "b2b-target", "b2b-can-drop");
    }
    root.classList.toggle("b2b-dragging", lift !== null);
    if (!lift) return;
    origin(lift.source)?.classList.add("b2b-lifted");
    for (const target of rules.targets(lift.source)) place(target)?.classList.add("b2b-can-drop");
    if (lift.target !== null) {
      const target = place(lift.target);
      target?.classList.add("b2b-target");
      if (lift.by === "key") target?.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }

  function end(): void {
    lift = null;
    start = null;
    ghost?.remove();
    ghost = null;
    mark();
  }

  function cancel(): void {
    if (lift) announce(`${rules.name(lift.source)}: put back.`);
    end();
  }

  function drop(): void {
    if (!lift) return;
    const { source, target } = lift;
    end();
    if (target === null) {
      announce(`${rules.name(source)}: put back.`);
      return;
    }
    rules.drop(source, target);
    announce(`${rules.name(source)}: dropped on ${rules.name(target)}.`);
  }

  function aim(target: string | null): void {
    if (!lift || lift.target === target) return;
    lift.target = target;
    mark();
    if (target !== null) announce(`Over ${rules.name(target)}.`);
  }

  function liftByKey(element: HTMLElement, source: string): void {
    const targets = rules.targets(source);
    if (targets.length === 0) {
      announce(`${rules.name(source)}: nowhere to drop it.`);
      return;
    }
    const target = rules.first?.(source, targets) ?? targets[0] ?? null;
    lift = { source, target, element, by: "key" };
    mark();
    const where = target === null ? "" : ` Over ${rules.name(target)}.`;
    announce(`${rules.name(source)} lifted.${where} Arrows move, Enter drops, Escape cancels.`);
  }

  function step(forward: boolean, wide: boolean): void {
    if (!lift) return;
    const targets = rules.targets(lift.source);
    const at = lift.target === null ? -1 : targets.indexOf(lift.target);
    const count = targets.length;
    let next = (at + (forward ? 1 : -1) + count) % count;
    if (wide && rules.group) {
      const here = lift.target === null ? "" : rules.group(lift.target);
      const groups = [...new Set(targets.map((target) => rules.group?.(target) ?? ""))];
      const group = groups[(groups.indexOf(here) + (forward ? 1 : -1) + groups.length) % groups.length];
      next = targets.findIndex((target) => rules.group?.(target) === group);
    }
    aim(targets[next] ?? null);
  }

  const onKey = (event: KeyboardEvent) => {
    if (lift && (event.key === "Escape" || event.key === "Tab")) {
      if (event.key === "Escape") event.preventDefault();
      cancel();
      return;
    }
    if (lift?.by === "key") {
      const moves: Record<string, () => void> = {
        ArrowDown: () => step(true, false),
        ArrowUp: () => step(false, false),
        ArrowRight: () => step(true, true),
        ArrowLeft: () => step(false, true),
        Enter: drop,
        " ": drop,
      };
      const move = moves[event.key];
      event.preventDefault();
      move?.();
      return;
    }
    const element = event.target instanceof HTMLElement ? event.target : null;
    const source = element?.dataset.drag;
    if (element && source !== undefined && event.key === " ") {
      event.preventDefault();
      liftByKey(element, source);
    }
  };

  const onDown = (event: PointerEvent) => {
    const pressed = event.target instanceof Element ? event.target : null;
    if (event.button !== 0 || pressed?.closest("input, select, [data-act]")) return;
    const element = pressed?.closest<HTMLElement>("[data-drag]");
    const source = element?.dataset.drag;
    if (element && source !== undefined) {
      if (lift) cancel();
      start = { x: event.clientX, y: event.clientY, source, element, id: event.pointerId };
    }
  };

  const onMove = (event: PointerEvent) => {
    if (!start || event.pointerId !== start.id) return;
    if (!lift) {
      if (Math.hypot(event.clientX - start.x, event.clientY - start.y) < THRESHOLD) return;
      lift = { source: start.source, target: null, element: start.element, by: "pointer" };
      root.setPointerCapture(event.pointerId);
      ghost = root.ownerDocument.createElement("div");
      ghost.className = "b2b-ghost";
      ghost.textContent = rules.name(lift.source);
      root.append(ghost);
      mark();
    }
    event.preventDefault();
    const box = root.getBoundingClientRect();
    if (ghost) ghost.style.translate = `${event.clientX - box.left + 10}px ${event.clientY - box.top + 10}px`;
    const tree = root.getRootNode() as Document | ShadowRoot;
    const key = tree.elementFromPoint(event.clientX, event.clientY)?.closest<HTMLElement>("[data-drop]")?.dataset.drop;
    aim(key !== undefined && rules.targets(lift.source).includes(key) ? key : null);
  };

  const onUp = (event: PointerEvent) => {
    if (!start || event.pointerId !== start.id) return;
    if (lift?.by === "pointer") drop();
    start = null;
  };

  root.addEventListener("keydown", onKey);
  root.addEventListener("pointerdown", onDown);
  root.addEventListener("pointermove", onMove);
  root.addEventListener("pointerup", onUp);
  root.addEventListener("pointercancel", cancel);
  const stop = () => {
    end();
    root.removeEventListener("keydown", onKey);
    root.removeEventListener("pointerdown", onDown);
    root.removeEventListener("pointermove", onMove);
    root.removeEventListener("pointerup", onUp);
    root.removeEventListener("pointercancel", cancel);
  };
  return { refresh: mark, stop };
}
