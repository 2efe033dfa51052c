import { optionsFrom } from './options.js';
import { ProgressPolling } from './widget.js';

// Importing this module during server-side rendering, without a DOM, must not fail.
const Base = globalThis.HTMLElement ?? Object;

/**
 * `<progress-poller job-id="…">`: a bar without an inline script. It exists while the element is in
 * the page. The attributes are the options.
 *
 * The bar is in a shadow root, where libraries that morph or hydrate the page do not see it. With a
 * `skin` it replaces the element's content, because the page's style sheet must reach it.
 */
export class ProgressPollerElement extends Base {
  static observedAttributes = ['job-id', 'endpoint', 'url'];

  /** @type {ProgressPolling | null} the widget in this element, or `null` while there is no job */
  progressPolling = null;

  connectedCallback() {
    // The element was moved.
    if (this.progressPolling) return;
    const given = optionsFrom(this);
    /** @type {any} */
    const options = given.skin
      ? given
      : { ...given, skin: 'plain', root: this.shadowRoot ?? this.attachShadow({ mode: 'open' }) };
    const { jobId = '', url, persist } = given;
    if (jobId || url) new ProgressPolling(this, jobId, options);
    else if (persist) ProgressPolling.resume(this, options);
  }

  disconnectedCallback() {
    // An element that is moved is soon back.
    queueMicrotask(() => {
      if (!this.isConnected) this.progressPolling?.destroy();
    });
  }

  adoptedCallback() {
    // Style sheets belong to one document.
    this.progressPolling?.destroy();
  }

  /**
   * @param {string} _name
   * @param {string | null} before
   * @param {string | null} after
   */
  attributeChangedCallback(_name, before, after) {
    if (!this.isConnected || before === after) return;
    this.progressPolling?.destroy();
    this.connectedCallback();
  }
}

/** Defines the element, unless the page has defined one of that name. */
export function defineElement() {
  const { customElements } = globalThis;
  if (customElements && !customElements.get('progress-poller')) {
    customElements.define('progress-poller', ProgressPollerElement);
  }
}
