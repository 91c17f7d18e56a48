// Draws the steps with what each keeps, and the form of the filter that is being written.
import { html, type Markup, when } from "../kit/html";
import { problemList, python, toolbar } from "../kit/parts";
import type { Session } from "../kit/sync";
import { columnPart } from "./column";
import {
  bound,
  columnsFor,
  type Draft,
  type Facts,
  type Filter,
  type Form,
  hindrance,
  type Kept,
  KINDS,
  type Kind,
  MEASURES,
  ordered,
  type Step,
  sketch,
} from "./state";

export type Panel = Session<Draft, Facts>;

export const KIND_NAMES: Record<Kind, string> = {
  dates: "Time window",
  category: "Values",
  numbers: "Numbers",
  date_range: "Dates of a column",
  top_revenue: "Top by revenue",
  min_count: "Number of rows",
  aggregate: "Totals",
};
const MEASURE_NAMES: Record<string, string> = {
  rows: "rows",
  partners: "different partners",
  revenue: "revenue",
  average_revenue: "revenue per row",
  quantity: "quantity",
};
const COUNTED = ["rows", "buyers", "products", "revenue"] as const;
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const formOf = (session: Panel): Form | null => (session.view.form as Form | null | undefined) ?? null;

function percent(value: number, of: number): string {
  if (of === 0) return "";
  const share = (100 * value) / of;
  return `${share > 0 && share < 0.1 ? "<0.1" : share < 100 && share > 99.9 ? ">99.9" : Number(share.toFixed(1))}%`;
}

/** Return what each step keeps, as far as it is known: counts of the first steps hold while their labels do. */
function counted(session: Panel, labels: readonly string[]): { steps: (Step | null)[]; stale: boolean } {
  const { facts, fresh } = session;
  const known = facts.kept?.steps ?? [];
  const stale = !fresh || facts.kept?.stamp !== facts.stamp;
  let same = true;
  const steps = labels.map((label, index) => {
    const step = known[index + 1];
    same = same && step?.label === label;
    return same ? (step ?? null) : null;
  });
  return { steps: [known[0] ?? null, ...steps], stale };
}

function cells(step: Step | null, start: Step | null, shown: readonly (keyof Kept)[]): Markup[] {
  return shown.map((name) => {
    const value = step?.[name] ?? null;
    const total = start?.[name] ?? null;
    if (value === null) return html`<td class="number b2b-soft">${step ? "–" : "…"}</td>`;
    const share = total === null || step === start ? "" : percent(value, total);
    const width = total ? Math.max(0, Math.min(100, (100 * value) / total)).toFixed(1) : "0";
    return html`<td class="number"><span class="share under" style="--share:${width}%"></span>
      <span>${whole.format(value)}</span> <span class="b2b-soft part">${share}</span></td>`;
  });
}

function stepRow(
  session: Panel,
  index: number,
  label: string,
  step: Step | null,
  start: Step | null,
  shown: readonly (keyof Kept)[],
): Markup {
  const form = formOf(session);
  const edited = form !== null && form.index === index;
  return html`<tr data-key="filter ${index}"${when(edited, 'class="edited"')}>
    <td class="b2b-soft">${index + 1}</td><th scope="row">${label}</th>${cells(step, start, shown)}
    <td class="acts"><button type="button" class="b2b-button" data-act="edit" data-index="${index}"
        aria-label="Edit filter ${index + 1}: ${label}"${when(edited, 'aria-pressed="true"')}>Edit</button>
      <button type="button" class="b2b-icon" data-act="remove" data-index="${index}"
        aria-label="Remove filter ${index + 1}: ${label}" title="Remove">×</button></td></tr>`;
}

function steps(session: Panel): Markup {
  const { draft, facts, fresh } = session;
  const order = ordered(draft);
  const labels = order.map((index) => (fresh ? facts.labels[index] : null) ?? sketch(draft.filters[index] as Filter));
  const { steps: kept, stale } = counted(session, labels);
  const start = kept[0] ?? null;
  const shown = facts.counts ? COUNTED.filter((name) => start === null || start[name] !== null) : [];
  return html`<div class="scroll"><table class="steps"${when(stale && facts.counts, 'data-stale="true"')}>
    <caption class="b2b-hidden">What each filter keeps, in the order in which they are evaluated</caption>
    <thead><tr><th scope="col">#</th><th scope="col">Step</th>
      ${shown.map((name) => html`<th scope="col" class="number">${name[0]?.toUpperCase()}${name.slice(1)}</th>`)}
      <td></td></tr></thead>
    <tbody><tr data-key="start"><td></td><th scope="row">All rows</th>${cells(start, start, shown)}<td></td></tr>
      ${order.map((index, at) => stepRow(session, index, labels[at] ?? "", kept[at + 1] ?? null, start, shown))}
    </tbody></table></div>`;
}

function notes(session: Panel): Markup {
  const { kept } = session.facts;
  if (!kept || !session.fresh || kept.stamp !== session.facts.stamp) return html``;
  const undone = kept.undone.map(
    ([
      label,
      count,
    ]) => html`<p class="b2b-warning">${whole.format(count)} do not fulfil “${label}” any more: other filters took
      rows of theirs.</p>`,
  );
  return html`<div class="notes">${undone}${kept.error ? html`<p class="b2b-error">Not counted. ${kept.error}</p>` : ""}</div>`;
}

function adder(session: Panel): Markup {
  const { draft, facts } = session;
  const form = formOf(session);
  const buttons = KINDS.map((kind) => {
    const why = hindrance(kind, draft, facts);
    const open = form !== null && form.index === null && form.filter.kind === kind;
    return html`<button type="button" class="b2b-button" data-act="add" data-kind="${kind}" aria-expanded="${open ? "true" : "false"}"
      title="${why}"${when(why !== "", 'aria-disabled="true"')}>${KIND_NAMES[kind]}</button>`;
  });
  return html`<div class="add" role="group" aria-label="Add a filter"><span class="b2b-soft">Add</span>${buttons}
    <span class="b2b-grow"></span>
    <label class="tick"><input type="checkbox" data-act="sequential"${when(draft.sequential, "checked")}/>
      Products first, buyers on what they leave</label></div>`;
}

interface FieldRules {
  readonly wide?: boolean;
  readonly group?: boolean;
}

/** Return one field with its label, and below it what the library says of it. */
function field(
  session: Panel,
  names: readonly string[],
  label: string,
  control: (attributes: Markup) => Markup,
  rules: FieldRules = {},
): Markup {
  const form = formOf(session);
  // What is missing is not called wrong before something was entered; a column's conflict is.
  const said = (session.facts.form?.problems ?? []).filter(
    ({ field: at }) => names.includes(at) && (form?.touched || at === "column"),
  );
  const id = `${session.id}-${names[0]}`;
  const wrong = said.length > 0;
  const attributes = html`${when(wrong, `aria-invalid="true" aria-describedby="${id}"`)}`;
  const text = html`<span class="label">${label}</span>`;
  const body = rules.group
    ? html`<div>${text}<span class="line">${control(attributes)}</span></div>`
    : html`<label>${text}${control(attributes)}</label>`;
  return html`<div class="field${rules.wide ? " wide" : ""}" data-key="field ${names[0]}">${body}
    ${wrong ? html`<p class="b2b-error said" id="${id}" role="alert">${said.map(({ message, fix }) => `${message} ${fix} `)}</p>` : ""}</div>`;
}

function select(session: Panel, name: string, label: string, options: readonly (readonly [string, string])[]): Markup {
  const value = String(formOf(session)?.filter[name] ?? "");
  return field(
    session,
    [name],
    label,
    (attributes) => html`<select data-act="set" data-field="${name}" aria-label="${label}"${attributes}>
    ${options.map(([key, text]) => html`<option value="${key}"${when(key === value, "selected")}>${text}</option>`)}</select>`,
  );
}

function input(session: Panel, name: string, label: string, type: "number" | "date", hint = ""): Markup {
  const value = formOf(session)?.filter[name] ?? "";
  return field(
    session,
    [name],
    label,
    (attributes) => html`<span class="line"><input type="${type}" step="any" data-act="set"
    data-field="${name}" data-type="${type}" aria-label="${hint ? `${label}, ${hint}` : label}" value="${String(value)}"${attributes}/>${hint ? html` <span class="b2b-soft">${hint}</span>` : ""}</span>`,
  );
}

function range(session: Panel, form: Form): Markup {
  const one = (end: "low" | "high", label: string, kept: string, beyond: string): Markup => {
    const { field: name, value } = bound(form, end);
    const names = end === "low" ? ["minimum", "above"] : ["maximum", "below"];
    return field(
      session,
      names,
      label,
      (attributes) => html`
      <select data-act="strict" data-end="${end}" aria-label="${label}: with or without the value itself">
        <option value="${names[0]}"${when(name === names[0], "selected")}>${kept}</option>
        <option value="${names[1]}"${when(name === names[1], "selected")}>${beyond}</option></select>
      <input type="number" step="any" data-act="bound" data-end="${end}" aria-label="${label}" placeholder="none"
        value="${value === null ? "" : String(value)}"${attributes}/>`,
      { group: true },
    );
  };
  return html`${one("low", "Lower bound", "at least", "more than")}${one("high", "Upper bound", "at most", "less than")}`;
}

function nulls(form: Form): Markup {
  return html`<label class="tick" data-key="nulls"><input type="checkbox" data-act="nulls"${when(form.filter.include_nulls === true, "checked")}/>
    Keep rows without a value</label>`;
}

const SIDES = [
  ["product", "Products"],
  ["buyer", "Buyers"],
] as const;

function fields(session: Panel, form: Form): Markup {
  const { kind, side } = form.filter;
  const columns = columnsFor(kind, session.facts).map(({ name }) => [name, name] as const);
  const column = select(session, "column", "Column", columns);
  const about = select(session, "side", "About", SIDES);
  const whom = select(session, "side", "Keep", SIDES);
  const days = html`${input(session, "start", "From", "date")}${input(session, "end", "To", "date")}`;
  switch (kind) {
    case "dates":
      return html`${column}${input(session, "rolling_days", "Last", "number", "days")}${days}`;
    case "category":
      return html`${about}${column}${select(session, "mode", "Rows", [
        ["include", "Keep these"],
        ["exclude", "Drop these"],
      ])}${nulls(form)}`;
    case "numbers":
      return html`${about}${column}${range(session, form)}${nulls(form)}`;
    case "date_range":
      return html`${about}${column}${input(session, "last_days", "Last", "number", "days")}${days}${nulls(form)}`;
    case "top_revenue":
      return html`${whom}${input(session, "percent", "That make", "number", "% of revenue")}`;
    case "min_count":
      return html`${whom}${input(session, "count", "With at least", "number", "rows")}`;
    case "aggregate": {
      const partners = side === "buyer" ? "different products" : "different buyers";
      const names = MEASURES.map(
        (name) => [name, name === "partners" ? partners : (MEASURE_NAMES[name] ?? name)] as const,
      );
      return html`${whom}${select(session, "measure", "By their", names)}${range(session, form)}`;
    }
  }
}

function outcome(session: Panel, form: Form): Markup {
  const answer = session.facts.form;
  if (!answer || answer.number !== form.number || answer.problems.length > 0) return html``;
  const all = session.facts.kept?.steps[0];
  const { kept, text } = answer;
  const said = kept
    ? [
        `${whole.format(kept.rows)} rows${all ? ` (${percent(kept.rows, all.rows)})` : ""}`,
        kept.buyers === null ? "" : `${whole.format(kept.buyers)} buyers`,
        kept.products === null ? "" : `${whole.format(kept.products)} products`,
      ]
    : [];
  return html`<p class="outcome">${text}${kept ? html` <span class="b2b-soft">would leave ${said.filter(Boolean).join(", ")}</span>` : ""}</p>`;
}

function editor(session: Panel): Markup {
  const form = formOf(session);
  if (!form) return html``;
  const answer = session.facts.form;
  const loose = form.touched ? (answer?.problems ?? []).filter((problem) => !(problem.field in form.filter)) : [];
  const blocked = answer !== null && answer.number === form.number && answer.problems.length > 0;
  const title = form.index === null ? "New filter" : `Filter ${form.index + 1}`;
  return html`<section class="form" data-form data-key="form" aria-label="${title}">
    <div class="b2b-bar"><p class="b2b-subtitle">${title}: ${KIND_NAMES[form.filter.kind]}</p></div>
    <div class="fields">${fields(session, form)}</div>
    ${columnPart(session, form)}
    ${problemList(loose)}
    <div class="b2b-bar end">${outcome(session, form)}<span class="b2b-grow"></span>
      <button type="button" class="b2b-button" data-act="cancel">Cancel</button>
      <button type="button" class="b2b-button main" data-act="apply"${when(blocked, 'aria-disabled="true"')}>${form.index === null ? "Add filter" : "Change filter"}</button></div>
  </section>`;
}

export function draw(session: Panel): Markup {
  const { draft } = session;
  const count = draft.filters.length;
  return html`${toolbar(`Filters of ${draft.name}`, count === 1 ? "1 filter" : `${count} filters`, session)}
    ${steps(session)}${notes(session)}${adder(session)}${editor(session)}
    ${problemList(session.problems)}${python(session.facts.code, session.fresh)}`;
}
