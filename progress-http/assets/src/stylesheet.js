import css from './progress-polling.css';

/** A property that the style sheet sets, which shows that the page has loaded it. */
const MARK = '--progress-polling-styled';

/** @type {WeakMap<Document, any>} a style sheet belongs to one document */
const sheets = new WeakMap();

/**
 * Adds the widget's style sheet to the page, unless the page has loaded it, and to the shadow root
 * of the widget. Adopts it, because a content security policy may forbid inline styles.
 *
 * @param {Element} node an element of the widget that is in the page
 */
export function ensureStyles(node) {
  // The document may be that of another frame than this script.
  const { ownerDocument: page } = node;
  const root = /** @type {Document | ShadowRoot} */ (node.getRootNode());
  const isStyled = getComputedStyle(page.documentElement).getPropertyValue(MARK);
  let sheet = sheets.get(page);
  if (!sheet) {
    sheet = new /** @type {any} */ (page.defaultView).CSSStyleSheet();
    sheet.replaceSync(css);
    sheets.set(page, sheet);
  }
  if (!isStyled) page.adoptedStyleSheets.push(sheet);
  if (root !== page && !root.adoptedStyleSheets.includes(sheet))
    root.adoptedStyleSheets.push(sheet);
}
