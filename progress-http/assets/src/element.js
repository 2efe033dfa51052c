import { optionsFrom } from './options.js';
import { ProgressPolling } from './widget.js';

// Importing this module during server-side rendering, without a DOM, must not fail.
const Base = globalThis.HTMLElement ?? Object;

/**
 * `<progress-poller job-id="…">`: a bar without an inline script. It exists while the element is in
 * the page and replaces the element's content. The attributes are the options.
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

/** Defines the element, unless the page has defined one of that name. */
export function defineElement() {
  const { customElements } = globalThis;
  if (customElements && !customElements.get('progress-poller')) {
    customElements.define('progress-poller', ProgressPollerElement);
  }
}
