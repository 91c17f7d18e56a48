// Draws what stands in the form's column: values with their counts, or bars of numbers and days.
import { html, type Markup, when } from "../kit/html";
import { type Form, inBar, isTicked, type Look, type Scalar } from "./state";
import type { Panel } from "./view";

const whole = new Intl.NumberFormat("en");
const WIDTH = 640;
const HEIGHT = 72;

const number = (value: number | string): string =>
  typeof value === "string" ? value : new Intl.NumberFormat("en", { maximumSignificantDigits: 6 }).format(value);

function valueRow(form: Form, value: Scalar, count: number | null, most: number): Markup {
  const width = count === null || most === 0 ? "0" : ((100 * count) / most).toFixed(1);
  const text = String(value);
  return html`<li data-key="value ${text}"><label class="value"><input type="checkbox" data-act="tick" data-value="${JSON.stringify(value)}"
    ${when(isTicked(form.filter, value), "checked")}/><span class="text" title="${text}">${text === "" ? html`<i>empty text</i>` : text}</span>
    <span class="share" style="--share:${width}%"></span>
    <span class="count b2b-soft">${count === null ? "" : whole.format(count)}</span></label></li>`;
}

function values(session: Panel, form: Form, look: Look | null): Markup {
  const chosen = form.filter.values ?? [];
  const listed = look?.values ?? [];
  const seen = new Set(listed.map(([value]) => String(value)));
  const elsewhere = chosen.filter((value) => !seen.has(String(value)));
  const most = Math.max(0, ...listed.map(([, count]) => count));
  const said = form.touched ? (session.facts.form?.problems ?? []).filter(({ field }) => field === "values") : [];
  const id = `${session.id}-values`;
  const found = look
    ? `${whole.format(look.distinct)} different values, ${whole.format(look.nulls)} rows without one` +
      (look.matching > listed.length
        ? `; ${listed.length} of ${whole.format(look.matching)} shown: search for more`
        : "")
    : session.facts.counts
      ? "Counting…"
      : "No warehouse to look into: type a value.";
  return html`<div class="column-part"><div class="b2b-bar">
      <input type="search" data-act="search" aria-label="Search values of ${form.filter.column ?? ""}" placeholder="Search values" value="${form.search}"/>
      <button type="button" class="b2b-button" data-act="take"${when(form.search.trim() === "", 'aria-disabled="true"')} title="Choose the text itself">Add text</button>
      <button type="button" class="b2b-button" data-act="all"${when(listed.length === 0, 'aria-disabled="true"')}>Tick shown</button>
      <button type="button" class="b2b-button" data-act="none"${when(chosen.length === 0, 'aria-disabled="true"')}>Untick all</button>
      <span class="b2b-soft">${whole.format(chosen.length)} chosen</span></div>
    <ul class="values" aria-label="Values of ${form.filter.column ?? ""}"${when(said.length > 0, `aria-describedby="${id}"`)}>
      ${elsewhere.map((value) => valueRow(form, value, null, most))}
      ${listed.map(([value, count]) => valueRow(form, value, count, most))}</ul>
    <p class="b2b-soft">${found}</p>
    ${said.length > 0 ? html`<p class="b2b-error said" id="${id}" role="alert">Choose at least one value.</p>` : ""}</div>`;
}

function bars(form: Form, look: Look | null): Markup {
  const found = look?.bars ?? [];
  if (!look || found.length === 0) return html`<p class="b2b-soft">${look ? "No values." : "Counting…"}</p>`;
  const most = Math.max(1, ...found.map(([, , count]) => count));
  const step = WIDTH / found.length;
  const drawn = found.map((bar, index) => {
    const [from, to, count] = bar;
    const height = count === 0 ? 0 : Math.max(2, (HEIGHT * count) / most);
    const on = inBar(form.filter, bar, index === 0 ? "first" : index === found.length - 1 ? "last" : "");
    return html`<rect class="bar${on ? " on" : ""}" x="${(index * step).toFixed(2)}" width="${Math.max(1, step - 1.5).toFixed(2)}"
      y="${(HEIGHT - height).toFixed(1)}" height="${height.toFixed(1)}"><title>${number(from)} to ${number(to)}: ${whole.format(count)} rows</title></rect>`;
  });
  return html`<div class="column-part"><svg class="bars" data-bars viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img"
      aria-label="Rows by ${form.filter.column ?? ""}, from ${number(look.minimum ?? "")} to ${number(look.maximum ?? "")}">${drawn}</svg>
    <p class="b2b-soft scale"><span>${number(found[0]?.[0] ?? "")}</span>
      <span>${number(look.minimum ?? "")} to ${number(look.maximum ?? "")}, ${whole.format(look.nulls)} rows without a value; drag across the bars to choose a range</span>
      <span>${number(found.at(-1)?.[1] ?? "")}</span></p></div>`;
}

/** Draw what is known of the form's column; nothing for filters of whole buyers and products. */
export function columnPart(session: Panel, form: Form): Markup {
  const { column, kind } = form.filter;
  if (column === undefined) return html``;
  const look = session.facts.look?.column === column ? session.facts.look : null;
  if (look?.error) return html`<p class="b2b-error">Not counted. ${look.error}</p>`;
  if (kind === "category") return values(session, form, look);
  return session.facts.counts ? bars(form, look) : html``;
}
