// The frame of every widget: root, live region, keys, drag, redraw. A widget gives the drawing and the actions.
import { type Announce, announcer } from "./announce";
import { type DragRules, dragging } from "./drag";
import { carrier, type Markup, morph } from "./html";
import { guardKeys, historyKey } from "./keys";
import { type BaseFacts, type Model, Session } from "./sync";

/** Something that the user did to an element with `data-act`. */
export interface Action {
  readonly name: string;
  readonly phase: "click" | "input" | "change";
  readonly data: DOMStringMap;
  readonly value: string;
  readonly checked: boolean;
}

export interface Widget<Draft, Facts extends BaseFacts> {
  readonly title: string;
  draw(session: Session<Draft, Facts>): Markup;
  act(session: Session<Draft, Facts>, action: Action, announce: Announce): void;
  drag?(session: Session<Draft, Facts>): DragRules;
  /** Called after each redraw, for what needs measured positions; may return what to undo at the end. */
  drawn?(root: HTMLElement, session: Session<Draft, Facts>): void;
  /** Called once, for listeners of the widget's own. */
  listen?(root: HTMLElement, session: Session<Draft, Facts>, redraw: () => void): () => void;
}

function read(event: Event, phase: Action["phase"]): Action | null {
  const element = carrier(event, "act");
  const name = element?.dataset.act;
  if (!element || name === undefined) return null;
  const control = element instanceof HTMLInputElement || element instanceof HTMLSelectElement;
  if (control === (phase === "click")) return null;
  return {
    name,
    phase,
    data: element.dataset,
    value: control ? element.value : "",
    checked: element instanceof HTMLInputElement && element.checked,
  };
}

/** Make the render function of a widget module. */
export function renderer<Draft, Facts extends BaseFacts>(widget: Widget<Draft, Facts>) {
  return ({ model, el }: { model: Model; el: HTMLElement }): (() => void) => {
    const root = el.ownerDocument.createElement("div");
    root.className = "b2b-root";
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", widget.title);
    const body = el.ownerDocument.createElement("div");
    root.append(body);
    el.append(root);
    const announce = announcer(root);

    let frame = 0;
    const session: Session<Draft, Facts> = new Session(model, () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(draw);
    });
    const drag = widget.drag ? dragging(root, widget.drag(session), announce) : null;

    function draw(): void {
      morph(body, widget.draw(session));
      drag?.refresh();
      widget.drawn?.(root, session);
      if (session.focusNext === null) return;
      const next = root.querySelector<HTMLElement>(session.focusNext);
      session.focusNext = null;
      next?.focus();
    }

    function run(event: Event, phase: Action["phase"]): void {
      const action = read(event, phase);
      if (!action) return;
      if (action.name === "undo") session.undo();
      else if (action.name === "redo") session.redo();
      else if (action.name === "copy") copy(session.facts.code, announce);
      else widget.act(session, action, announce);
    }

    const listeners: [string, (event: Event) => void][] = [
      ["click", (event) => run(event, "click")],
      ["input", (event) => run(event, "input")],
      ["change", (event) => run(event, "change")],
      [
        "keydown",
        (event) => {
          const way = historyKey(event as KeyboardEvent);
          if (!way) return;
          event.preventDefault();
          session[way]();
          announce(way === "undo" ? "Undone." : "Redone.");
        },
      ],
    ];
    for (const [name, listener] of listeners) root.addEventListener(name, listener);
    const unguard = guardKeys(root);
    const unlisten = widget.listen?.(root, session, draw);
    draw();

    return () => {
      cancelAnimationFrame(frame);
      drag?.stop();
      unlisten?.();
      unguard();
      session.close();
      root.remove();
    };
  };
}

function copy(code: BaseFacts["code"], announce: Announce): void {
  const text = code.setup === "" ? code.chain : `${code.setup}\n${code.chain}`;
  navigator.clipboard?.writeText(text).then(
    () => announce("Python copied."),
    () => announce("The browser did not allow copying."),
  );
}
