// Draws the curve, its marks and the threshold.
import { html, type Markup, when } from "../kit/html";
import { problemList, python, toolbar } from "../kit/parts";
import type { Session } from "../kit/sync";
import { type Draft, type Facts, kept, MARKS, type Point, threshold } from "./state";

export const BOX = { width: 640, height: 300, left: 44, right: 16, top: 14, bottom: 34 } as const;
const INNER = { width: BOX.width - BOX.left - BOX.right, height: BOX.height - BOX.top - BOX.bottom } as const;

export const across = (percent: number): number => BOX.left + (percent / 100) * INNER.width;
export const up = (percent: number): number => BOX.top + (1 - percent / 100) * INNER.height;

/** Return the revenue percent at a height, the inverse of `up`. */
export const percentAt = (y: number): number => 100 * (1 - (y - BOX.top) / INNER.height);

const round = (value: number): string => value.toFixed(1);
const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

function line(points: readonly Point[]): string {
  const steps = points.map((point) => `L${round(across(point.entity_percent))} ${round(up(point.revenue_percent))}`);
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

function chart(facts: Facts, percent: number | null): Markup {
  const shown = percent ?? 100;
  const keep = kept(facts, percent);
  const x = across(keep.share);
  const y = up(shown);
  return html`<svg viewBox="0 0 ${BOX.width} ${BOX.height}" class="chart" data-chart aria-hidden="true">
    ${axes()}
    <rect class="kept" x="${BOX.left}" y="${BOX.top}" width="${round(x - BOX.left)}" height="${INNER.height}"/>
    <path class="curve" d="${line(facts.points)}"/>
    <line class="level" x1="${BOX.left}" x2="${BOX.width - BOX.right}" y1="${round(y)}" y2="${round(y)}"/>
    <line class="level" x1="${round(x)}" x2="${round(x)}" y1="${round(y)}" y2="${BOX.height - BOX.bottom}"/>
    <circle class="knob" cx="${round(x)}" cy="${round(y)}" r="7"/>
  </svg>`;
}

function number(label: string, value: string, note: string): Markup {
  return html`<div class="number"><dt>${label}</dt><dd><b>${value}</b> <span class="b2b-soft">${note}</span></dd></div>`;
}

function marks(facts: Facts, percent: number | null): Markup {
  const rows = MARKS.map((mark) => {
    const { count, share } = kept(facts, mark);
    return html`<button type="button" class="mark" data-act="mark" data-percent="${mark}"
      aria-pressed="${mark === percent ? "true" : "false"}"><b>${mark}%</b>
      <span>${whole.format(count)}</span><span class="b2b-soft">${round(share)}%</span></button>`;
  });
  return html`<div class="marks" role="group" aria-label="Usual thresholds">${rows}</div>`;
}

export function draw(session: Session<Draft, Facts>): Markup {
  const { draft, facts } = session;
  const percent = threshold(draft, facts.side);
  const keep = kept(facts, percent);
  const many = `${facts.side}s`;
  const about = keep.exact ? "" : "at most ";
  const negative =
    facts.negative > 0
      ? html`<p class="b2b-warning notice">${whole.format(facts.negative)} ${facts.negative === 1 ? facts.side : many}
          without positive revenue (returns, credits): never needed to reach a threshold.</p>`
      : "";
  return html`${toolbar(`Revenue by ${facts.side}`, draft.name, session)}
    <div class="pareto">
      <figure>
        ${chart(facts, percent)}
        <figcaption class="b2b-soft">Share of ${many}, largest revenue first → share of revenue ↑</figcaption>
      </figure>
      <div class="side">
        <div class="control">
          <label class="field">Keep the ${many} that make
            <span><input type="number" min="0.1" max="100" step="any" data-act="type" aria-label="Revenue share, percent"
              value="${percent ?? ""}" placeholder="all"/> % of revenue</span></label>
          <input type="range" min="1" max="100" step="1" data-act="slide" aria-label="Threshold"
            aria-valuetext="${percent ?? 100} % of revenue: ${keep.count} ${many}" value="${percent ?? 100}"/>
        </div>
        <dl aria-label="What is kept">
          ${number(`${many} kept`, `${about}${whole.format(keep.count)}`, `of ${whole.format(facts.entities)}, ${round(keep.share)}%`)}
          ${number("revenue kept", `${percent ?? 100}%`, `of ${short.format(facts.revenue)}`)}
        </dl>
        ${marks(facts, percent)}
        <button type="button" class="b2b-button" data-act="clear"${when(percent === null, 'aria-disabled="true"')}>Keep all ${many}</button>
      </div>
    </div>
    ${negative}${problemList(session.problems)}${python(facts.code, session.fresh)}`;
}
