// Markup with escaping by default, and a morph that brings a live tree to it without losing focus or typed text.

/** Markup that is known to be escaped. */
export class Markup {
  constructor(readonly text: string) {}
}

type Piece = Markup | string | number | boolean | null | undefined | Piece[];

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function write(piece: Piece): string {
  if (piece === null || piece === undefined || piece === false || piece === true) return "";
  if (piece instanceof Markup) return piece.text;
  if (Array.isArray(piece)) return piece.map(write).join("");
  return String(piece).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

/** Template tag: every value is escaped, unless it is itself Markup. Attribute values must be quoted. */
export function html(strings: TemplateStringsArray, ...pieces: Piece[]): Markup {
  return new Markup(strings.reduce((text, part, index) => text + write(pieces[index - 1]) + part));
}

/** Give the attribute's text when the condition holds. */
export function when(condition: boolean, attribute: string): Markup {
  return new Markup(condition ? ` ${attribute}` : "");
}

function key(node: Node): string | null {
  return node instanceof Element ? node.getAttribute("data-key") : null;
}

function similar(old: Node, next: Node): boolean {
  return old.nodeName === next.nodeName && key(old) === key(next);
}

function syncAttributes(old: Element, next: Element): void {
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of [...next.attributes])
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
}

function syncControl(old: Element, next: Element): void {
  const root = old.getRootNode() as Document | ShadowRoot;
  const typing = root.activeElement === old;
  if (old instanceof HTMLInputElement && next instanceof HTMLInputElement) {
    if (old.type === "checkbox") old.checked = next.checked;
    else if (!typing) old.value = next.value;
  } else if (old instanceof HTMLSelectElement && next instanceof HTMLSelectElement) {
    old.value = next.value;
  }
}

function morphChildren(old: Node, next: Node): void {
  const keyed = new Map<string, Node>();
  for (const child of old.childNodes) {
    const name = key(child);
    if (name !== null) keyed.set(name, child);
  }
  let cursor = old.firstChild;
  for (const wanted of [...next.childNodes]) {
    const name = key(wanted);
    let match: Node | null | undefined = name === null ? null : keyed.get(name);
    if (!match && cursor && similar(cursor, wanted)) match = cursor;
    if (match && similar(match, wanted)) {
      if (match === cursor) cursor = cursor.nextSibling;
      else old.insertBefore(match, cursor);
      morphNode(match, wanted);
    } else {
      old.insertBefore(wanted, cursor);
    }
  }
  while (cursor) {
    const gone = cursor;
    cursor = cursor.nextSibling;
    old.removeChild(gone);
  }
}

function morphNode(old: Node, next: Node): void {
  if (old instanceof Element && next instanceof Element) {
    syncAttributes(old, next);
    if (!old.hasAttribute("data-own")) morphChildren(old, next);
    syncControl(old, next);
  } else if (old.nodeValue !== next.nodeValue) {
    old.nodeValue = next.nodeValue;
  }
}

/** Bring the element's children to the markup. Children of an element with `data-own` are left alone. */
export function morph(element: Element, markup: Markup): void {
  const template = element.ownerDocument.createElement("template");
  template.innerHTML = markup.text;
  morphChildren(element, element.ownerDocument.importNode(template.content, true));
}

/** Return the element, or its nearest ancestor, that carries the data attribute. */
export function carrier(event: Event, attribute: string): HTMLElement | null {
  const target = event.composedPath()[0];
  return target instanceof Element ? target.closest<HTMLElement>(`[data-${attribute}]`) : null;
}
