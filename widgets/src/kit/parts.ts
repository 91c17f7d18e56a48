// Parts that all widgets share: tool bar, problems, Python.
import { html, type Markup, when } from "./html";
import type { BaseFacts, Problem, Session } from "./sync";

// A button that cannot act stays focusable: disabled, it would drop the keyboard's place.
export function toolbar(title: string, subtitle: string, session: Session<unknown, BaseFacts>): Markup {
  return html`<header class="b2b-bar">
    <p class="b2b-title">${title}</p><span class="b2b-soft">${subtitle}</span><span class="b2b-grow"></span>
    <button type="button" class="b2b-button" data-act="undo" title="Undo (Ctrl+Z)"${when(!session.canUndo, 'aria-disabled="true"')}>Undo</button>
    <button type="button" class="b2b-button" data-act="redo" title="Redo (Ctrl+Shift+Z)"${when(!session.canRedo, 'aria-disabled="true"')}>Redo</button>
  </header>`;
}

export function problemList(problems: readonly Problem[]): Markup {
  if (problems.length === 0) return html``;
  const items = problems.map(
    ({ severity, field, value, message, fix }) => html`<li class="b2b-${severity}">
      <span class="b2b-tag">${severity === "error" ? "Problem" : "Advice"}</span>
      <span><code>${field}${value ? ` = ${value}` : ""}</code> ${message} <span class="b2b-fix">${fix}</span></span>
    </li>`,
  );
  return html`<ul class="b2b-problems" aria-label="Problems">${items}</ul>`;
}

export function python(code: BaseFacts["code"], fresh: boolean): Markup {
  const setup =
    code.setup === ""
      ? html``
      : html`<details><summary>Definitions it needs</summary><pre tabindex="0">${code.setup}</pre></details>`;
  return html`<section class="b2b-code" aria-label="Python"${when(!fresh, 'data-stale="true"')}>
    <div class="b2b-bar"><p class="b2b-subtitle">Python</p><span class="b2b-grow"></span>
    <button type="button" class="b2b-button" data-act="copy">Copy</button></div>
    <pre tabindex="0" aria-label="Equivalent Python">${code.chain}</pre>${setup}
  </section>`;
}
