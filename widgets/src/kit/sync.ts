// Draft and commit: what the page edits goes to Python, which answers with facts and problems.
import { begin, type History, record, redo, settle, undo } from "./history";

/** The part of a widget model that the widgets use. */
export interface Model {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  on(event: string, callback: () => void): void;
  off(event: string, callback: () => void): void;
}

export interface Problem {
  readonly field: string;
  readonly value: string;
  readonly message: string;
  readonly fix: string;
  readonly severity: "error" | "warning";
}

/** What every widget's facts hold. */
export interface BaseFacts {
  /** Number of the page's edit that the facts answer. */
  readonly edit: number;
  /** Whether that edit was accepted; if not, the facts describe the last accepted one. */
  readonly accepted: boolean;
  readonly code: { readonly setup: string; readonly chain: string };
}

interface View {
  readonly edit?: number;
  readonly [name: string]: unknown;
}

/** A widget's state as the page sees it. */
export class Session<Draft, Facts extends BaseFacts> {
  private history: History<Draft>;
  private writing = false;
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();
  /** Selector of what gets the focus when the page is drawn next. */
  focusNext: string | null = null;
  /** Tells the ids of one widget on a page from those of another. */
  readonly id = `b2b-${Math.random().toString(36).slice(2, 10)}`;
  private readonly stop: () => void;

  constructor(
    private readonly model: Model,
    private readonly changed: () => void,
  ) {
    this.history = begin(model.get("_draft") as Draft);
    const draft = () => {
      if (this.writing) return;
      this.history = record(settle(this.history), model.get("_draft") as Draft);
      changed();
    };
    const other = () => {
      if (!this.writing) changed();
    };
    model.on("change:_draft", draft);
    model.on("change:_facts", other);
    model.on("change:_problems", other);
    model.on("change:_view", other);
    this.stop = () => {
      model.off("change:_draft", draft);
      for (const name of ["_facts", "_problems", "_view"]) model.off(`change:${name}`, other);
    };
  }

  get draft(): Draft {
    return this.history.present;
  }

  get facts(): Facts {
    return this.model.get("_facts") as Facts;
  }

  get problems(): readonly Problem[] {
    return this.model.get("_problems") as Problem[];
  }

  get view(): View {
    return this.model.get("_view") as View;
  }

  /** Whether the facts describe the draft that is shown. */
  get fresh(): boolean {
    return this.facts.accepted && this.facts.edit === (this.view.edit ?? 0);
  }

  get canUndo(): boolean {
    return this.history.past.length > 0;
  }

  get canRedo(): boolean {
    return this.history.future.length > 0;
  }

  /** Take a new draft and send it. */
  commit(draft: Draft, gesture: string | null = null): void {
    this.go(record(this.history, draft, gesture));
  }

  /** End a gesture: the next commit is a step of its own. */
  settle(): void {
    this.history = settle(this.history);
  }

  undo(): void {
    this.go(undo(this.history));
  }

  redo(): void {
    this.go(redo(this.history));
  }

  /** Keep something about the view, such as what is folded; it never enters the configuration. */
  look(part: Record<string, unknown>): void {
    this.write({ _view: { ...this.view, ...part } });
    this.changed();
  }

  /** Do something once it has been quiet for a while: asked for again under the same name, it waits again. */
  later(name: string, milliseconds: number, task: () => void): void {
    clearTimeout(this.timers.get(name));
    this.timers.set(name, setTimeout(task, milliseconds));
  }

  close(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.stop();
  }

  private go(next: History<Draft>): void {
    const same = next.present === this.history.present;
    this.history = next;
    if (!same) {
      const edit = (this.view.edit ?? 0) + 1;
      this.write({ _draft: next.present, _view: { ...this.view, edit } });
    }
    this.changed();
  }

  private write(values: Record<string, unknown>): void {
    this.writing = true;
    try {
      for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    } finally {
      this.writing = false;
    }
    this.model.save_changes();
  }
}
