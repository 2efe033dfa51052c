import { optionsFrom } from './options.js';
import { ProgressPolling } from './widget.js';

// A page may be rendered where there are no elements; importing this there must not fail.
const Base = globalThis.HTMLElement ?? Object;

/**
 * `<progress-poller job-id="…">`, for pages that may not run inline scripts: the bar lives as long as the element
 * is in the page. What the element contains is shown until then. Its attributes are the options.
 */
export class ProgressPollerElement extends Base {
  static observedAttributes = ['job-id', 'endpoint', 'url'];

  /** @type {ProgressPolling | null} the widget in this element, or `null` while there is no job */
  progressPolling = null;

  connectedCallback() {
    const options = optionsFrom(this);
    const { jobId = '', url, persist } = options;
    if (jobId || url) new ProgressPolling(this, jobId, options);
    else if (persist) ProgressPolling.resume(this, options);
  }

  disconnectedCallback() {
    this.progressPolling?.destroy();
  }

  /**
   * @param {string} _name
   * @param {string | null} before
   * @param {string | null} after
   */
  attributeChangedCallback(_name, before, after) {
    if (this.isConnected && before !== after) {
      this.disconnectedCallback();
      this.connectedCallback();
    }
  }
}

/** Makes the element known to the page, unless the page has one of that name. */
export function defineElement() {
  const { customElements } = globalThis;
  if (customElements && !customElements.get('progress-poller')) {
    customElements.define('progress-poller', ProgressPollerElement);
  }
}
