// Undo and redo as a value.

/** Where one stands, what was before, and what was undone. */
export interface History<T> {
  readonly past: readonly T[];
  readonly present: T;
  readonly future: readonly T[];
  /** Name of the gesture that made the present; the same gesture again replaces it. */
  readonly gesture: string | null;
}

const LIMIT = 100;

export function begin<T>(present: T): History<T> {
  return { past: [], present, future: [], gesture: null };
}

/** Record a new state. Steps of one gesture, such as a drag, are undone together. */
export function record<T>(history: History<T>, present: T, gesture: string | null = null): History<T> {
  if (JSON.stringify(present) === JSON.stringify(history.present)) return history;
  if (gesture !== null && gesture === history.gesture) return { ...history, present, future: [] };
  return { past: [...history.past, history.present].slice(-LIMIT), present, future: [], gesture };
}

/** End a gesture, so that the next step is undone on its own. */
export function settle<T>(history: History<T>): History<T> {
  return { ...history, gesture: null };
}

export function undo<T>(history: History<T>): History<T> {
  const present = history.past.at(-1);
  if (present === undefined) return history;
  return { past: history.past.slice(0, -1), present, future: [history.present, ...history.future], gesture: null };
}

export function redo<T>(history: History<T>): History<T> {
  const [present, ...future] = history.future;
  if (present === undefined) return history;
  return { past: [...history.past, history.present], present, future, gesture: null };
}
