import css from './progress-polling.css';

/** A property that the style sheet sets, which shows that the page has loaded it. */
const MARK = '--progress-polling-styled';

/**
 * Adds the widget's style sheet to the page, unless the page has loaded it. Adopts it, because a
 * content security policy may forbid inline styles.
 *
 * @param {Element} node an element of the widget that is in the page
 */
export function ensureStyles(node) {
  if (getComputedStyle(node).getPropertyValue(MARK)) return;
  // The sheet must belong to the node's document, which may be in another frame than this script.
  const sheet = new /** @type {any} */ (node.ownerDocument.defaultView).CSSStyleSheet();
  sheet.replaceSync(css);
  /** @type {Document | ShadowRoot} */ (node.getRootNode()).adoptedStyleSheets.push(sheet);
}
