import css from './progress-polling.css';

/** The style sheet says so itself, wherever it came from. */
const MARK = '--progress-polling-styled';

/** @type {CSSStyleSheet | undefined} one for all widgets of the page */
let sheet;

/**
 * Gives the page the widget's style sheet, unless it has linked one. Adopted rather than written into the page:
 * that is allowed where a policy forbids inline styles.
 *
 * @param {Element} node an element of the widget, in its place
 */
export function ensureStyles(node) {
  if (getComputedStyle(node).getPropertyValue(MARK)) return;
  const root = node.getRootNode();
  const scope = root instanceof ShadowRoot ? root : document;
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
  }
  if (!scope.adoptedStyleSheets.includes(sheet)) scope.adoptedStyleSheets = [...scope.adoptedStyleSheets, sheet];
}
