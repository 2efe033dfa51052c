/** The roles of the parts of a table, which an element loses when it is displayed otherwise. */
const ROLES = /** @type {Record<string, string>} */ ({
  table: 'table',
  thead: 'rowgroup',
  tbody: 'rowgroup',
  tr: 'row',
  td: 'cell',
});

/**
 * Creates an element with a class of the widget's or the list's style sheet.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} name
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} children
 */
export function element(tag, name, attributes, ...children) {
  const node = document.createElement(tag);
  /** @type {Record<string, string>} */
  const all = { role: ROLES[tag], class: `progress-polling-${name}`, ...attributes };
  // Each text has its own writing direction.
  if (/span|time/.test(tag)) node.dir = 'auto';
  for (const key in all) if (all[key] != null) node.setAttribute(key, all[key]);
  node.append(...children);
  return node;
}

/**
 * @param {string} label
 * @param {() => void} onclick
 * @param {string} [name]
 */
export function button(label, onclick, name = 'button') {
  const node = element('button', name, { type: 'button' }, label);
  node.onclick = onclick;
  return node;
}

/**
 * Sets a text. An unchanged text node needs no layout and keeps the selection.
 *
 * @param {Element} node
 * @param {any} text
 */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
