// Draws the curve, its marks and the threshold.
import { html, type Markup, when } from "../kit/html";
import { problemList, python, toolbar } from "../kit/parts";
import type { Session } from "../kit/sync";
import { type Draft, type Facts, kept, MARKS, MEASURES, type Measure, measured, threshold, thresholds } from "./state";

export const BOX = { width: 640, height: 300, left: 44, right: 16, top: 14, bottom: 34 } as const;
const INNER = { width: BOX.width - BOX.left - BOX.right, height: BOX.height - BOX.top - BOX.bottom } as const;

export const across = (percent: number): number => BOX.left + (percent / 100) * INNER.width;
export const up = (percent: number): number => BOX.top + (1 - percent / 100) * INNER.height;

/** Return the revenue percent at a height, the inverse of `up`. */
export const percentAt = (y: number): number => 100 * (1 - (y - BOX.top) / INNER.height);

const round = (value: number): string => value.toFixed(1);
const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** Return the measure that the page shows: the one chosen, else that of the threshold. */
export function measureShown(session: Session<Draft, Facts>): Measure {
  const { draft, facts, view } = session;
  const chosen = (view.measure as Measure | undefined) ?? measured(draft, facts.side) ?? "revenue";
  return facts.measures[chosen] ? chosen : "revenue";
}

function line(points: readonly (readonly [number, number])[]): string {
  const steps = points.map(([entities, share]) => `L${round(across(entities))} ${round(up(share))}`);
  return `M${across(0)} ${up(0)}${steps.join("")}`;
}

function axes(): Markup {
  const ticks = [0, 25, 50, 75, 100];
  return html`<g class="axes" aria-hidden="true">
    ${ticks.map(
      (tick) => html`<line x1="${BOX.left}" x2="${BOX.width - BOX.right}" y1="${up(tick)}" y2="${up(tick)}"/>
      <text x="${BOX.left - 8}" y="${up(tick) + 4}" text-anchor="end">${tick}%</text>
      <text x="${across(tick)}" y="${BOX.height - 14}" text-anchor="${tick === 100 ? "end" : "middle"}">${tick}%</text>`,
    )}
  </g>`;
}

function chart(facts: Facts, measure: Measure, percent: number | null): Markup {
  const shown = percent ?? 100;
  const keep = kept(facts, measure, percent);
  const x = across(keep.share);
  const y = up(shown);
  return html`<svg viewBox="0 0 ${BOX.width} ${BOX.height}" class="chart" data-chart aria-hidden="true">
    ${axes()}
    <rect class="kept" x="${BOX.left}" y="${BOX.top}" width="${round(x - BOX.left)}" height="${INNER.height}"/>
    <path class="curve" d="${line(thresholds(facts, measure).points)}"/>
    <line class="level" x1="${BOX.left}" x2="${BOX.width - BOX.right}" y1="${round(y)}" y2="${round(y)}"/>
    <line class="level" x1="${round(x)}" x2="${round(x)}" y1="${round(y)}" y2="${BOX.height - BOX.bottom}"/>
    <circle class="knob" cx="${round(x)}" cy="${round(y)}" r="7"/>
  </svg>`;
}

function number(label: string, value: string, note: string): Markup {
  return html`<div class="number"><dt>${label}</dt><dd><b>${value}</b> <span class="b2b-soft">${note}</span></dd></div>`;
}

function marks(facts: Facts, measure: Measure, percent: number | null): Markup {
  const rows = MARKS.map((mark) => {
    const { count, share } = kept(facts, measure, mark);
    return html`<button type="button" class="mark" data-act="mark" data-percent="${mark}"
      aria-pressed="${mark === percent ? "true" : "false"}"><b>${mark}%</b>
      <span>${whole.format(count)}</span><span class="b2b-soft">${round(share)}%</span></button>`;
  });
  return html`<div class="marks" role="group" aria-label="Usual thresholds">${rows}</div>`;
}

const OTHER = { product: "buyers", buyer: "products" } as const;

/** Say what the threshold keeps; a number that nobody knows is left out. */
function numbers(facts: Facts, measure: Measure, percent: number | null): Markup {
  const keep = kept(facts, measure, percent);
  const about = keep.exact ? "" : "at most ";
  const share = (value: number, of: number | null): string => (of ? `, ${round((100 * value) / of)}%` : "");
  const one = (label: string, value: number | null, of: number | null): Markup | "" =>
    value === null || of === null
      ? ""
      : number(label, `${about}${whole.format(value)}`, `of ${whole.format(of)}${share(value, of)}`);
  const revenue =
    keep.revenue === null || facts.revenue === null
      ? number("revenue kept", `${percent ?? 100}%`, `of ${short.format(facts.revenue ?? 0)}`)
      : one("revenue kept", keep.revenue, facts.revenue);
  return html`<dl aria-label="What is kept">
    ${one(`${facts.side}s kept`, keep.count, facts.entities)}
    ${one("rows kept", keep.rows, facts.rows)}
    ${revenue}
    ${one("quantity kept", keep.quantity, facts.quantity)}
    ${one(`${OTHER[facts.side]} covered`, keep.covered, facts.others)}
  </dl>`;
}

function measureSelect(facts: Facts, measure: Measure): Markup {
  const offered = MEASURES.filter((name) => facts.measures[name]);
  if (offered.length < 2) return html`of ${measure}`;
  return html`of <select data-act="measure" aria-label="Measure">
    ${offered.map((name) => html`<option value="${name}"${when(name === measure, "selected")}>${name}</option>`)}</select>`;
}

export function draw(session: Session<Draft, Facts>): Markup {
  const { draft, facts } = session;
  const measure = measureShown(session);
  const percent = threshold(draft, facts, measure, (session.view.at as number | null | undefined) ?? null);
  const other = measured(draft, facts.side);
  const { count } = kept(facts, measure, percent);
  const many = `${facts.side}s`;
  const { needless } = thresholds(facts, measure);
  const why = measure === "revenue" ? "revenue (returns, credits)" : measure;
  const negative =
    needless > 0
      ? html`<p class="b2b-warning notice">${whole.format(needless)} ${needless === 1 ? facts.side : many}
          without positive ${why}: never needed to reach a threshold.</p>`
      : "";
  const replaced =
    other !== null && other !== measure
      ? html`<p class="b2b-soft notice">The threshold stands by ${other}; setting one by ${measure} replaces it.</p>`
      : "";
  return html`${toolbar(`${measure[0]?.toUpperCase()}${measure.slice(1)} by ${facts.side}`, draft.name, session)}
    <div class="pareto">
      <figure>
        ${chart(facts, measure, percent)}
        <figcaption class="b2b-soft">Share of ${many}, largest ${measure} first → share of ${measure} ↑</figcaption>
      </figure>
      <div class="side">
        <div class="control">
          <div class="field">Keep the ${many} that make
            <span><input type="number" min="0.1" max="100" step="any" data-act="type" aria-label="Share of ${measure}, percent"
              value="${percent ?? ""}" placeholder="all"/> % ${measureSelect(facts, measure)}</span></div>
          <input type="range" min="1" max="100" step="1" data-act="slide" aria-label="Threshold"
            aria-valuetext="${percent ?? 100} % of ${measure}: ${count} ${many}" value="${percent ?? 100}"/>
        </div>
        ${numbers(facts, measure, percent)}
        ${marks(facts, measure, percent)}
        <button type="button" class="b2b-button" data-act="clear"${when(other === null, 'aria-disabled="true"')}>Keep all ${many}</button>
      </div>
    </div>
    ${negative}${replaced}${problemList(session.problems)}${python(facts.code, session.fresh)}`;
}
