import css from './progress-polling.css';

/** The style sheet says so itself, wherever it came from. */
const MARK = '--progress-polling-styled';

/**
 * Gives the page the widget's style sheet, unless it has it. Adopted rather than written into the page: that is allowed
 * where a policy forbids inline styles.
 *
 * @param {Element} node an element of the widget, in its place
 */
export function ensureStyles(node) {
  if (getComputedStyle(node).getPropertyValue(MARK)) return;
  // One of the node's own document, which may be in another frame than this script.
  const sheet = new /** @type {any} */ (node.ownerDocument.defaultView).CSSStyleSheet();
  sheet.replaceSync(css);
  /** @type {Document | ShadowRoot} */ (node.getRootNode()).adoptedStyleSheets.push(sheet);
}
