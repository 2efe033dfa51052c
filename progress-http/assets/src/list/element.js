import { createList } from './list.js';
import { defaultEndpoint, optionsFrom } from './widget.js';

// Importing this module during server-side rendering, without a DOM, must not fail.
const Base = globalThis.HTMLElement ?? Object;

/**
 * `<progress-list>`: the jobs of the viewer. The attributes are the options; `options` holds those
 * that are no texts. The list is in a shadow root, and exists while the element is in the page.
 */
export class ProgressListElement extends Base {
  static observedAttributes = ['endpoint', 'status', 'task-type', 'page-size', 'lang', 'heading'];

  /** @type {ReturnType<typeof createList> | null | undefined} */
  #list;
  /** @type {any} */
  #options = {};

  get options() {
    return this.#options;
  }

  set options(given) {
    this.#options = given;
    this.attributeChangedCallback();
  }

  /** Reads the list now instead of at the next interval. */
  refresh() {
    this.#list?._refresh();
  }

  connectedCallback() {
    const nearest = /** @type {HTMLElement} */ (
      this.closest('[lang]') ?? document.documentElement
    );
    // Unless the element was moved.
    this.#list ??= createList(this, this.shadowRoot ?? this.attachShadow({ mode: 'open' }), {
      // Beside this script, wherever it is.
      sheet: new URL('progress-list.css', import.meta.url).href,
      endpoint: defaultEndpoint() ?? '/progress',
      lang: this.hasAttribute('page') ? navigator.language : nearest.lang,
      ...optionsFrom(this),
      ...this.#options,
    });
  }

  disconnectedCallback() {
    // An element that is moved is soon back.
    queueMicrotask(() => {
      if (!this.isConnected) this.adoptedCallback();
    });
  }

  adoptedCallback() {
    // Style sheets belong to one document.
    this.#list?._stop();
    this.#list = null;
  }

  attributeChangedCallback() {
    if (!this.#list) return;
    this.adoptedCallback();
    this.connectedCallback();
  }
}

/** Defines the element, unless the page has defined one of that name. */
export function defineList() {
  const { customElements } = globalThis;
  if (customElements && !customElements.get('progress-list')) {
    customElements.define('progress-list', ProgressListElement);
  }
}
