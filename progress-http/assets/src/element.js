/** @import { WidgetOptions } from './progress-polling.js' */
import { ProgressPolling } from './widget.js';

/**
 * How each attribute becomes an option. Its mere presence says yes; the two that are on by default have an
 * attribute that says no.
 *
 * @type {Record<string, (value: string) => WidgetOptions>}
 */
const ATTRIBUTES = {
  endpoint: (endpoint) => ({ endpoint }),
  url: (url) => ({ url }),
  heading: (title) => ({ title }),
  icon: (icon) => ({ icon }),
  skin: (skin) => ({ skin: /** @type {WidgetOptions['skin']} */ (skin) }),
  'poll-interval': (value) => ({ pollInterval: number(value) }),
  'announce-step': (value) => ({ announceStep: number(value) }),
  'hide-details': () => ({ showDetails: false }),
  'hide-stats': () => ({ showStats: false }),
  'show-log': () => ({ showLog: true }),
  'allow-cancel': () => ({ allowCancel: true }),
  'auto-hide': (value) => ({ autoHideOnComplete: true, autoHideDelay: number(value) }),
  'reload-on-complete': () => ({ reloadOnComplete: true }),
  'redirect-on-complete': (redirectOnComplete) => ({ redirectOnComplete }),
  persist: () => ({ persist: true }),
  debug: () => ({ debug: true }),
};

// A page may be rendered where there are no elements; importing this there must not fail.
const Base = globalThis.HTMLElement ?? Object;

/**
 * `<progress-poller job-id="…">`, for pages that may not run inline scripts: the bar lives as long as the element
 * is in the page. What the element contains is shown until then.
 */
export class ProgressPollerElement extends Base {
  static observedAttributes = ['job-id', 'endpoint', 'url'];

  /** @type {ProgressPolling | null} */
  #widget = null;
  /** Attributes are told one by one before the element is; nothing may begin until then. */
  #inPage = false;

  /** The widget in this element, or `null` while there is no job. */
  get widget() {
    return this.#widget;
  }

  connectedCallback() {
    this.#inPage = true;
    this.#begin();
  }

  disconnectedCallback() {
    this.#inPage = false;
    this.#end();
  }

  /**
   * @param {string} _name
   * @param {string | null} before
   * @param {string | null} after
   */
  attributeChangedCallback(_name, before, after) {
    if (!this.#inPage || before === after) return;
    this.#end();
    this.#begin();
  }

  #begin() {
    const jobId = this.getAttribute('job-id');
    const options = this.#options();
    if (jobId || options.url) this.#widget = new ProgressPolling(this, jobId ?? '', options);
    else if (options.persist) this.#widget = ProgressPolling.resume(this, options);
  }

  #end() {
    this.#widget?.destroy();
    this.#widget = null;
  }

  /** @returns {WidgetOptions} */
  #options() {
    const given = Object.entries(ATTRIBUTES).filter(([name]) => this.hasAttribute(name));
    return Object.assign({}, ...given.map(([name, option]) => option(this.getAttribute(name) ?? '')));
  }
}

/**
 * @param {string} value
 * @returns {number | undefined} a value that is no number means the default
 */
function number(value) {
  return value.trim() === '' || Number.isNaN(Number(value)) ? undefined : Number(value);
}

/** Makes the element known to the page, unless the page has one of that name. */
export function defineElement() {
  const { customElements } = globalThis;
  if (customElements && !customElements.get('progress-poller')) {
    customElements.define('progress-poller', ProgressPollerElement);
  }
}
