// Keys pressed in a widget stay in the widget; only saving the notebook is passed on.

const SUPPRESS = "data-lm-suppress-shortcuts";

function isSave(event: KeyboardEvent): boolean {
  return (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "s";
}

/** Whether the key belongs to the text that is being typed. */
export function typing(event: KeyboardEvent): boolean {
  const target = event.composedPath()[0];
  return target instanceof HTMLInputElement && target.type !== "checkbox" && target.type !== "range";
}

/** Return "undo" or "redo" for the usual keys, outside text fields. */
export function historyKey(event: KeyboardEvent): "undo" | "redo" | null {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || typing(event)) return null;
  const pressed = event.key.toLowerCase();
  if (pressed === "z") return event.shiftKey ? "redo" : "undo";
  return pressed === "y" ? "redo" : null;
}

/** Keep keys from the notebook around the root; return what undoes it. */
export function guardKeys(root: HTMLElement): () => void {
  const guard = (event: KeyboardEvent) => {
    event.stopPropagation();
    if (event.type === "keydown" && isSave(event)) {
      event.preventDefault();
      root.parentElement?.dispatchEvent(
        new KeyboardEvent("keydown", { ...keyOf(event), bubbles: true, composed: true }),
      );
    }
  };
  root.setAttribute(SUPPRESS, "true");
  root.addEventListener("keydown", guard);
  root.addEventListener("keypress", guard);
  root.addEventListener("keyup", guard);
  return () => {
    root.removeEventListener("keydown", guard);
    root.removeEventListener("keypress", guard);
    root.removeEventListener("keyup", guard);
  };
}

function keyOf(event: KeyboardEvent): KeyboardEventInit & { keyCode: number } {
  const { key, code, ctrlKey, metaKey, shiftKey, altKey, keyCode } = event;
  return { key, code, ctrlKey, metaKey, shiftKey, altKey, keyCode };
}
