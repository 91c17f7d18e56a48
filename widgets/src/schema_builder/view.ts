// Draws the tables, and the lines between the joined columns.
import { html, type Markup, when } from "../kit/html";
import { problemList, python, toolbar } from "../kit/parts";
import type { Session } from "../kit/sync";
import {
  type Again,
  type Column,
  columnKey,
  type Draft,
  type Facts,
  HOWS,
  isJoined,
  isSelected,
  type Join,
  layers,
  nextPair,
  ROLES,
  type Role,
  roleOf,
  type Table,
  withAgain,
} from "./state";

export type Builder = Session<Draft, Facts>;

const ROLE_NAMES: Record<Role, string> = {
  user: "Buyer",
  product: "Product",
  timestamp: "Time",
  revenue: "Revenue",
  quantity: "Quantity",
};
const FOLD_ABOVE = 30;
const some = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;
const whole = new Intl.NumberFormat("en");

export type Places = Readonly<Record<string, readonly [number, number]>>;
export const againOf = (session: Builder): readonly Again[] => (session.view.again as Again[] | undefined) ?? [];
export const placesOf = (session: Builder): Places => (session.view.places as Places | undefined) ?? {};

/** Return the facts with the tables that the page wants once more. */
export const factsOf = (session: Builder): Facts => withAgain(session.draft, session.facts, againOf(session));

function roleSelect(session: Builder, alias: string, column: Column): Markup {
  const { draft, facts } = session;
  const role = roleOf(draft, facts, [alias, column.name]);
  const allowed = ROLES.filter((name) => facts.role_types[name]?.includes(column.type) ?? true);
  return html`<select data-act="role" data-column="${columnKey(alias, column.name)}" class="role${role ? " set" : ""}"
    aria-label="Role of ${alias}.${column.name}"${when(!isSelected(draft, [alias, column.name]), "disabled")}>
    <option value="">–</option>
    ${allowed.map((name) => html`<option value="${name}"${when(name === role, "selected")}>${ROLE_NAMES[name]}</option>`)}
  </select>`;
}

function row(session: Builder, table: Table, column: Column): Markup {
  const { draft } = session;
  const joined = isJoined(draft, table.alias);
  const key = columnKey(table.alias, column.name);
  const tick = html`<input type="checkbox" data-act="tick" data-column="${key}"
    aria-label="Select ${table.alias}.${column.name}"${when(isSelected(draft, [table.alias, column.name]), "checked")}/>`;
  return html`<li class="column" data-key="${key}" data-drop="${key}">
    ${joined ? tick : html`<span></span>`}
    <span class="name" role="button" tabindex="0" data-drag="${key}" title="${column.name}, ${column.type}: drag onto another table's column to join"
      aria-label="${table.alias}.${column.name}, ${column.type}" aria-roledescription="draggable column">${column.name}</span>
    <span class="type b2b-soft" title="${column.type}">${column.type.toLowerCase()}</span>
    ${joined ? roleSelect(session, table.alias, column) : ""}
  </li>`;
}

/** Return the columns that are shown: all, or of a wide table those in use. */
function visible(session: Builder, table: Table): readonly Column[] {
  const { draft, facts, view } = session;
  const open = (view.open as Record<string, boolean> | undefined)?.[table.alias] ?? table.columns.length <= FOLD_ABOVE;
  if (open) return table.columns;
  const keys = new Set<string>();
  for (const { left, right, on } of draft.joins) {
    for (const [a, b] of on) {
      if (left === table.alias) keys.add(a);
      if (right === table.alias) keys.add(b);
    }
  }
  const chosen = (name: string): boolean =>
    keys.has(name) ||
    roleOf(draft, facts, [table.alias, name]) !== null ||
    (draft.selected.length > 0 && isSelected(draft, [table.alias, name]));
  const shown = table.columns.filter((column) => chosen(column.name));
  return shown.length > 0 ? shown : table.columns.slice(0, 8);
}

function card(session: Builder, table: Table): Markup {
  const { draft, facts } = session;
  const joined = isJoined(draft, table.alias);
  const primary = draft.tables[0]?.alias === table.alias;
  const rows = facts.rows[table.name];
  const shown = visible(session, table);
  const hidden = table.columns.length - shown.length;
  const fold =
    table.columns.length > FOLD_ABOVE
      ? html`<button type="button" class="fold b2b-soft" data-act="fold" data-alias="${table.alias}" data-open="${hidden > 0 ? "true" : "false"}">
          ${hidden > 0 ? `Show ${hidden} more columns` : "Show fewer columns"}</button>`
      : "";
  const wanted = !joined && againOf(session).some((item) => item.alias === table.alias);
  const [x, y] = placesOf(session)[table.alias] ?? [0, 0];
  const title = wanted
    ? html`<input type="text" data-act="alias" data-alias="${table.alias}" aria-label="Alias of ${table.name}" value="${table.alias}"/>`
    : html`<p class="b2b-subtitle">${table.alias}</p>`;
  const icon = (name: string, label: string, sign: string, hint: string): Markup =>
    html`<button type="button" class="b2b-icon" data-act="${name}" data-alias="${table.alias}" aria-label="${label}" title="${hint}">${sign}</button>`;
  return html`<section class="card${joined ? "" : " apart"}" data-key="card ${table.alias}" aria-label="Table ${table.alias}" style="translate:${x}px ${y}px">
    <header class="b2b-bar" data-move="${table.alias}"><button type="button" class="b2b-icon grip" data-grip="${table.alias}"
        aria-label="Move table ${table.alias}" aria-description="Arrow keys move it" title="Drag, or arrow keys, to move">⠿</button>${title}
      <span class="b2b-soft">${[rows === undefined ? "" : `${whole.format(rows)} rows`, table.alias === table.name ? "" : `is ${table.name}`].filter(Boolean).join(" · ")}</span>
      <span class="b2b-grow"></span>
      ${joined ? icon("again", `Join ${table.alias} once more`, "+", "Join the table once more, under another alias") : ""}
      ${joined && !primary ? icon("remove", `Remove table ${table.alias}`, "×", "Remove the table and what hangs on it") : ""}
      ${wanted ? icon("forget", `Forget ${table.alias}`, "×", "Not needed") : ""}
    </header>
    <ul>${shown.map((column) => row(session, table, column))}</ul>
    ${table.columns.length === 0 ? html`<p class="b2b-soft empty">Columns are not known.</p>` : fold}
  </section>`;
}

function joinCard(join: Join): Markup {
  const [first] = join.on;
  return html`<div class="join" data-key="join ${join.right}" data-join="${join.right}" role="group"
    aria-label="Join of ${join.right} to ${join.left} on ${first?.[0] ?? ""} = ${first?.[1] ?? ""}">
    <select data-act="how" data-alias="${join.right}" aria-label="Kind of join">
      ${HOWS.map((how) => html`<option value="${how}"${when(how === join.how, "selected")}>${how}</option>`)}
    </select>
    <button type="button" class="b2b-icon" data-act="remove" data-alias="${join.right}"
      aria-label="Remove the join of ${join.right}" title="Remove the join">×</button>
  </div>`;
}

/** List a join's pairs of columns, and offer one more: what dragging does, with controls. */
function pairs(session: Builder, join: Join): Markup {
  const { left, right, pair } = nextPair(session.draft, join);
  const chosen = (session.view.pairs as Record<string, [string, string]> | undefined)?.[join.right] ?? pair;
  const options = (names: readonly string[], name: string): Markup[] =>
    names.map((each) => html`<option value="${each}"${when(each === name, "selected")}>${each}</option>`);
  return html`<li class="line" data-key="pairs ${join.right}"><b>${join.right}</b><span class="b2b-soft">${join.how} join to ${join.left} on</span>
    ${join.on.map(
      ([a, b], index) => html`<span class="chip">${a === b ? a : `${a} = ${b}`}
      <button type="button" class="b2b-icon" data-act="unpair" data-alias="${join.right}" data-index="${index}"
        aria-label="Do not join ${join.right} on ${a} = ${b}" title="Remove">×</button></span>`,
    )}
    <span class="more"><select data-act="pair" data-end="0" data-alias="${join.right}" aria-label="Column of ${join.left} for one more pair with ${join.right}">${options(left, chosen[0])}</select>
    = <select data-act="pair" data-end="1" data-alias="${join.right}" aria-label="Column of ${join.right} for one more pair">${options(right, chosen[1])}</select>
    <button type="button" class="b2b-button" data-act="addpair" data-alias="${join.right}" data-pair="${JSON.stringify(chosen)}"
      aria-label="And join ${join.right} on ${chosen[0]} = ${chosen[1]}">And</button></span></li>`;
}

function details(session: Builder): Markup {
  const { draft } = session;
  const computed = (draft.computed ?? []).map(
    ({
      name,
      expression,
      type,
    }) => html`<li class="line" data-key="computed ${name}"><b>${name}</b> <span class="b2b-soft">=</span> <code>${expression}</code>
      <span class="b2b-soft">${type.toLowerCase()}</span>
      <button type="button" class="b2b-icon" data-act="uncompute" data-name="${name}" aria-label="Remove computed column ${name}" title="Remove">×</button></li>`,
  );
  const moved = Object.keys(placesOf(session)).length > 0;
  return html`<div class="details">
    ${draft.joins.length > 0 ? html`<section aria-label="Joins"><p class="b2b-subtitle b2b-soft">Joins</p><ul>${draft.joins.map((join) => pairs(session, join))}</ul></section>` : ""}
    ${computed.length > 0 ? html`<section aria-label="Computed columns"><p class="b2b-subtitle b2b-soft">Computed columns</p><ul>${computed}</ul></section>` : ""}
    ${moved ? html`<button type="button" class="b2b-button" data-act="tidy">Put the tables back</button>` : ""}</div>`;
}

export function draw(session: Builder): Markup {
  const { draft } = session;
  const facts = factsOf(session);
  const byAlias = new Map(draft.tables.map((table) => [table.alias, table]));
  const apart = facts.available.filter((table) => !isJoined(draft, table.alias));
  const columns = facts.output.length + (draft.computed ?? []).length;
  const found = layers(draft).map(
    (layer, index) => html`<div class="layer" data-key="layer ${index}">
      ${layer.map((alias) => {
        const table = byAlias.get(alias);
        return table ? card(session, table) : "";
      })}</div>`,
  );
  const rest =
    apart.length > 0
      ? html`<div class="layer" data-key="apart"><p class="b2b-subtitle b2b-soft">Drag a column here to join</p>
          ${apart.map((table) => card(session, table))}</div>`
      : "";
  return html`${toolbar(draft.name, `${some(draft.tables.length, "table")}, ${some(columns, "column")}`, session)}
    <div class="canvas"><div class="board">
      <svg class="lines" aria-hidden="true" data-own></svg>
      ${found}${rest}
      ${draft.joins.map(joinCard)}
    </div></div>
    ${details(session)}
    ${problemList(session.problems)}${python(facts.code, session.fresh)}`;
}

interface End {
  readonly left: number;
  readonly right: number;
  readonly y: number;
}

function end(board: HTMLElement, alias: string, column: string): End | null {
  const scale = board.getBoundingClientRect();
  const place = board.querySelector(`[data-drop="${CSS.escape(columnKey(alias, column))}"]`);
  const whole = place?.closest(".card");
  if (!place || !whole) return null;
  const box = place.getBoundingClientRect();
  const card = whole.getBoundingClientRect();
  return { left: card.left - scale.left, right: card.right - scale.left, y: box.top + box.height / 2 - scale.top };
}

interface Route {
  readonly start: number;
  readonly end: number;
  /** Where the line turns, before its lane. */
  readonly turn: number;
  /** Directions: out of the first card, and into the second. */
  readonly out: 1 | -1;
  readonly into: 1 | -1;
  /** Whether the line goes around, as neither card is beside the other. */
  readonly round: boolean;
}

/** Choose the nearer sides of two cards. */
function route(from: End, to: End): Route {
  if (to.left >= from.right) {
    return { start: from.right, end: to.left, turn: from.right, out: 1, into: 1, round: false };
  }
  if (to.right <= from.left) {
    return { start: from.left, end: to.right, turn: from.left, out: -1, into: -1, round: false };
  }
  const turn = Math.max(from.right, to.right);
  return { start: from.right, end: to.right, turn, out: 1, into: -1, round: true };
}

const PILL = 104;
const ARROW = 8;

/** Draw the lines in the gaps between the layers, and put each join's card on its first line. */
export function drawLines(root: HTMLElement, session: Builder): void {
  const board = root.querySelector<HTMLElement>(".board");
  const svg = board?.querySelector<SVGSVGElement>(".lines");
  if (!board || !svg) return;
  const lanes = new Map<number, number>();
  const paths: string[] = [];
  for (const join of session.draft.joins) {
    join.on.forEach(([a, b], index) => {
      const from = end(board, join.left, a);
      const to = end(board, join.right, b);
      if (!from || !to) return;
      const way = route(from, to);
      const gap = Math.round(way.start);
      const lane = lanes.get(gap) ?? 0;
      lanes.set(gap, lane + 1);
      const turn = way.turn + way.out * (12 + (lane % 3) * 7);
      const bend = way.round || Math.abs(to.y - from.y) >= 1 ? `H${turn}V${to.y}` : "";
      const name = columnKey(join.right, String(index));
      const tip = way.end - way.into;
      const base = way.end - way.into * ARROW;
      paths.push(
        `<path data-line='${name.replace(/['<&]/g, "")}' d="M${way.start} ${from.y}${bend}H${tip}"/>` +
          `<circle cx="${way.start}" cy="${from.y}" r="3.5"/>` +
          `<path class="head" d="M${base} ${to.y - 4.5}L${tip} ${to.y}L${base} ${to.y + 4.5}Z"/>`,
      );
      const pill = index === 0 ? board.querySelector<HTMLElement>(`[data-join="${CSS.escape(join.right)}"]`) : null;
      if (pill) {
        pill.style.left = `${way.into > 0 ? base - 6 - PILL : base + 6}px`;
        pill.style.top = `${to.y - 14}px`;
      }
    });
  }
  svg.setAttribute("width", String(board.scrollWidth));
  svg.setAttribute("height", String(board.scrollHeight));
  const drawn = paths.join("");
  if (svg.innerHTML !== drawn) svg.innerHTML = drawn;
}
