import "../kit/theme.css";
import "./style.css";
import type { Announce } from "../kit/announce";
import { type Action, renderer } from "../kit/mount";
import {
  apply,
  blank,
  bound,
  type Draft,
  type Facts,
  type Filter,
  type Form,
  hindrance,
  type Kind,
  numberOf,
  remove,
  type Scalar,
  setBars,
  setBound,
  setMode,
  setSequential,
  tick,
} from "./state";
import { draw, formOf, type Panel } from "./view";

const QUIET = 300;
const FIRST = "[data-form] select, [data-form] input";

/** Show a form; Python answers what the library says of it. */
function write(session: Panel, form: Form, more: Record<string, unknown> = {}): void {
  session.look({ form: { ...form, number: form.number + 1 }, ...more });
}

function change(session: Panel, filter: Filter, part: Partial<Form> = {}): void {
  const form = formOf(session);
  if (form) write(session, { ...form, filter, touched: true, ...part });
}

function open(session: Panel, filter: Filter, index: number | null): void {
  const before = (session.view.forms as number | undefined) ?? 0;
  const strict = { low: (filter.above ?? null) !== null, high: (filter.below ?? null) !== null };
  const form: Form = { number: before + 1000, index, filter, touched: false, search: "", strict };
  session.focusNext = FIRST;
  session.look({
    form,
    forms: form.number,
    look: filter.column === undefined ? null : { column: filter.column, search: "" },
  });
}

function close(session: Panel, focus: string): void {
  session.focusNext = focus;
  session.look({ form: null, look: null });
}

function set(session: Panel, form: Form, name: string, value: string): void {
  const { filter } = form;
  if (name === "mode") change(session, setMode(filter, value));
  else if (name === "column") {
    const cleared = filter.kind === "category" ? { values: [] } : {};
    const next = { ...filter, ...cleared, column: value };
    write(session, { ...form, filter: next, search: "" }, { look: { column: value, search: "" } });
  } else change(session, { ...filter, [name]: value });
}

function search(session: Panel, form: Form, text: string): void {
  session.look({ form: { ...form, search: text } });
  session.later("search", QUIET, () => session.look({ look: { column: form.filter.column, search: text } }));
}

function strict(session: Panel, form: Form, end: "low" | "high", name: string): void {
  const beyond = name === "above" || name === "below";
  change(session, setBound(form.filter, end, name, bound(form, end).value), {
    strict: { ...form.strict, [end]: beyond },
  });
}

/** Take the form into the draft, unless the library has already said what is wrong with it. */
function accept(session: Panel, form: Form, announce: Announce): void {
  const answer = session.facts.form;
  if (answer?.number === form.number && answer.problems.length > 0) {
    session.look({ form: { ...form, touched: true } });
    announce(answer.problems.map(({ message, fix }) => `${message} ${fix}`).join(" "));
    return;
  }
  session.commit(apply(session.draft, form));
  close(session, `[data-act="add"][data-kind="${form.filter.kind}"]`);
  announce(form.index === null ? "Filter added." : "Filter changed.");
}

function drop(session: Panel, index: number, announce: Announce): void {
  session.commit(remove(session.draft, index));
  if (formOf(session)?.index != null) session.look({ form: null, look: null });
  session.focusNext = session.draft.filters.length > 0 ? '[data-act="remove"]' : '[data-act="add"]';
  announce(`Filter ${index + 1} removed.`);
}

function typedText(session: Panel, form: Form): Scalar {
  const type = session.facts.columns.find(({ name }) => name === form.filter.column)?.type;
  const text = form.search.trim();
  return type === "INT64" && Number.isSafeInteger(Number(text)) ? Number(text) : form.search;
}

function inForm(session: Panel, form: Form, { name, phase, data, value, checked }: Action, announce: Announce): void {
  const { filter } = form;
  if (name === "cancel") close(session, `[data-act="add"][data-kind="${filter.kind}"]`);
  else if (name === "apply") accept(session, form, announce);
  else if (name === "search" && phase === "input") search(session, form, value);
  else if (name === "all")
    change(
      session,
      tick(
        filter,
        (session.facts.look?.values ?? []).map(([each]) => each),
        true,
      ),
    );
  else if (name === "none") change(session, { ...filter, values: [] });
  else if (name === "take" && form.search.trim() !== "")
    change(session, tick(filter, [typedText(session, form)], true));
  else if (name === "tick" && phase === "change")
    change(session, tick(filter, [JSON.parse(data.value ?? "null") as Scalar], checked));
  else if (name === "nulls" && phase === "change") change(session, { ...filter, include_nulls: checked });
  else if (name === "strict" && phase === "change") strict(session, form, data.end as "low" | "high", value);
  else if (name === "bound" && phase === "input") {
    const end = data.end as "low" | "high";
    change(session, setBound(filter, end, bound(form, end).field, numberOf(value)));
  } else if (name === "set" && data.type === undefined && phase === "change")
    set(session, form, data.field ?? "", value);
  else if (name === "set" && data.type !== undefined && phase === "input") {
    const read = data.type === "number" ? numberOf(value) : value === "" ? null : value;
    change(session, { ...filter, [data.field ?? ""]: read });
  }
}

function act(session: Panel, action: Action, announce: Announce): void {
  const { draft, facts } = session;
  const { name, data } = action;
  if (name === "add") {
    const kind = data.kind as Kind;
    const why = hindrance(kind, draft, facts);
    if (why) announce(why);
    else open(session, blank(kind, draft, facts), null);
  } else if (name === "edit") {
    const filter = draft.filters[Number(data.index)];
    if (filter) open(session, filter, Number(data.index));
  } else if (name === "remove") drop(session, Number(data.index), announce);
  else if (name === "sequential" && action.phase === "change") session.commit(setSequential(draft, action.checked));
  else {
    const form = formOf(session);
    if (form) inForm(session, form, action, announce);
  }
}

/** Ask for counts once it has been quiet: every query is the warehouse's. */
function drawn(_root: HTMLElement, session: Panel): void {
  const { facts, view } = session;
  if (!facts.counts) return;
  if (session.fresh && facts.kept?.stamp !== facts.stamp) {
    const asked = facts.stamp;
    session.later("count", QUIET, () => {
      if (session.view.count === asked) session.look({ count: null });
      session.look({ count: asked });
    });
  }
  const form = formOf(session);
  const answer = facts.form;
  if (
    form &&
    answer?.number === form.number &&
    answer.problems.length === 0 &&
    !answer.kept &&
    view.sample !== form.number
  ) {
    session.later("sample", QUIET, () => session.look({ sample: form.number }));
  }
}

/** Let a range be dragged across the bars, Enter apply the form and Escape leave it. */
function listen(root: HTMLElement, session: Panel): () => void {
  let first: number | null = null;
  const at = (event: PointerEvent): number => {
    const box = root.querySelector("[data-bars]")?.getBoundingClientRect();
    const count = session.facts.look?.bars?.length ?? 0;
    if (!box || count === 0) return 0;
    return Math.max(0, Math.min(count - 1, Math.floor(((event.clientX - box.left) / box.width) * count)));
  };
  const choose = (event: PointerEvent) => {
    const form = formOf(session);
    if (form && first !== null) change(session, setBars(form.filter, session.facts.look?.bars ?? [], first, at(event)));
  };
  const down = (event: PointerEvent) => {
    if (event.button !== 0 || !(event.target instanceof Element) || !event.target.closest("[data-bars]")) return;
    first = at(event);
    root.setPointerCapture(event.pointerId);
    choose(event);
  };
  const up = () => {
    first = null;
  };
  const key = (event: KeyboardEvent) => {
    const target = event.target instanceof Element ? event.target : null;
    if (!target?.closest("[data-form]")) return;
    if (event.key === "Escape") root.querySelector<HTMLElement>('[data-act="cancel"]')?.click();
    if (event.key === "Enter" && target instanceof HTMLInputElement && target.type !== "checkbox") {
      event.preventDefault();
      root.querySelector<HTMLElement>(`[data-act="${target.type === "search" ? "take" : "apply"}"]`)?.click();
    }
  };
  root.addEventListener("pointerdown", down);
  root.addEventListener("pointermove", choose);
  root.addEventListener("pointerup", up);
  root.addEventListener("pointercancel", up);
  root.addEventListener("keydown", key);
  return () => {
    root.removeEventListener("pointerdown", down);
    root.removeEventListener("pointermove", choose);
    root.removeEventListener("pointerup", up);
    root.removeEventListener("pointercancel", up);
    root.removeEventListener("keydown", key);
  };
}

export default { render: renderer<Draft, Facts>({ title: "Filters", draw, act, listen, drawn }) };
