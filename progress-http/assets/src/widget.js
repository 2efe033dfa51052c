/** @import { WidgetOptions } from './progress-polling.js' */
/** @import { Cancellation } from './view.js' */
import { followLog } from './log.js';
import { widgetOptions } from './options.js';
import { followPage, leavePage } from './page.js';
import { storedJob } from './persistence.js';
import { ProgressPoller } from './poller.js';
import { count, toState } from './record.js';
import { request } from './request.js';
import { ensureStyles } from './stylesheet.js';
import { translator } from './translator.js';
import { createUi } from './ui.js';
import { belongingUrl } from './urls.js';
import { viewOf } from './view.js';

/** Milliseconds without a heartbeat until `stale` is set, unless the server says. */
const STALE_AFTER = 15_000;

/** The HTTP status of a cancel request for a job that has ended. */
const CONFLICT = 409;

/** The endpoints about which the console was warned. */
const warned = new Set();

/** A progress bar in a container: a poller with a user interface. */
export class ProgressPolling extends ProgressPoller {
  #container;
  /** Where the user interface is: the container, or its shadow root. */
  #root;
  #settings;
  /** The first address of the record. */
  #address;
  /** Ends the listeners of the widget. */
  #life = new AbortController();
  /** @type {any} */
  #timer;
  /** @type {Cancellation} */
  #cancellation;
  /** @type {number | undefined} when the heartbeats stopped, on the page's clock */
  #silentSince;
  #seenAlive = false;
  /** Whether the widget was drawn inside the page, where its language and styles are known. */
  #settled = false;
  /** @type {ReturnType<typeof translator>} */
  #i18n = /** @type {any} */ (null);
  /** @type {ReturnType<typeof createUi>} */
  #ui = /** @type {any} */ (null);

  /**
   * @param {string | Element} target an element, or its id
   * @param {string} jobId
   * @param {WidgetOptions} [given]
   */
  constructor(target, jobId, given = {}) {
    const container = containerOf(target);
    if (!jobId && !given.url) throw new TypeError('ProgressPolling: no job id.');
    /** @type {ReturnType<typeof widgetOptions> & { resumed?: boolean }} */
    const settings = widgetOptions(given);
    super(jobId, settings);
    this.#container = container;
    this.#settings = settings;
    this.#root = /** @type {any} */ (given).root ?? container;
    this.#address = this.url;
    this._onEvent = this.#handle;

    container.progressPolling?.destroy();
    container.progressPolling = this;
    this.#draw();
    // By the next frame the page has inserted a container that it has just created.
    requestAnimationFrame(() => this.#render());
    this.#store(jobId);
    followPage(this, settings.whenHidden, this.#life.signal);
    this.start();
  }

  /**
   * Follows the job that the container followed before the page was reloaded, if `persist` was set.
   *
   * @param {string | Element} target
   * @param {WidgetOptions} [options]
   * @returns {ProgressPolling | null} `null` if there is no such job
   */
  static resume(target, options = {}) {
    const jobId = storedJob(containerOf(target).id);
    // A stored job has been visible before. One retry, because it may be at the other address.
    const settings = { notFoundRetries: 1, ...options, persist: true, resumed: true };
    return jobId ? new ProgressPolling(target, jobId, settings) : null;
  }

  /** Removes the bar, and forgets the job that `persist` has stored. */
  dismiss() {
    this.#store('');
    this.destroy();
  }

  /** @param {string} jobId the job that `resume` follows; an empty one for none */
  #store(jobId) {
    if (this.#settings.persist) storedJob(this.#container.id, jobId);
  }

  /** Builds the user interface and puts it into the container. */
  #draw() {
    const container = this.#container;
    const settings = this.#settings;
    this.#settled = container.isConnected;
    this.#i18n = translator(settings.lang ?? languageOf(container), settings.messages);
    this.#ui = createUi(this.#i18n, settings, {
      tryAgain: () => this.start(),
      reload: () => location.reload(),
      cancel: () => this.#setCancellation('asking'),
      keep: () => this.#setCancellation(undefined),
      confirmCancel: () => this.#cancel(),
      dismiss: () => this.dismiss(),
    });
    this.#root.replaceChildren(this.#ui.node);
    if (!this.#settled) return;
    ensureStyles(this.#ui.node);
    if (settings.showLog) followLog(this, this.#ui.append, this.#life.signal);
  }

  /** Shows the present state. */
  #render() {
    const container = this.#container;
    if (this.#life.signal.aborted) return;
    if (!this.#settled && container.isConnected) this.#draw();
    // The parser may have added content, or a library that morphs the page has removed the widget.
    const { childNodes } = this.#root;
    if (childNodes.length !== 1 || childNodes[0] !== this.#ui.node)
      this.#root.replaceChildren(this.#ui.node);
    const now = this.options.clock.now();
    const view = viewOf(
      this,
      { now, silence: this.#silence(now), cancellation: this.#cancellation },
      this.#i18n,
    );
    this.#ui.render(view);
    // The text of a problem contains a duration, which changes every second.
    if (view.line && this.phase !== 'ended') this.#later(() => this.#render(), 1000);
  }

  /**
   * Returns how long the worker has sent no heartbeat, as a text; false if it is alive.
   *
   * @param {number} now
   */
  #silence(now) {
    const { snapshot } = this;
    if (snapshot?.stale !== true) {
      this.#silentSince = undefined;
      this.#seenAlive ||= !!snapshot;
      return false;
    }
    this.#silentSince ??= now - (count(snapshot.stale_after_ms) ?? STALE_AFTER);
    // If the heartbeats stopped before the page was loaded, this is the least time.
    const prefix = this.#seenAlive ? '' : '≥ ';
    return prefix + this.#i18n.duration((now - this.#silentSince) / 1000);
  }

  /** @param {Cancellation} cancellation */
  #setCancellation(cancellation) {
    this.#cancellation = cancellation;
    this.#render();
  }

  async #cancel() {
    this.#setCancellation('sent');
    try {
      await request(this.options, belongingUrl(this.url, 'cancel'), { method: 'POST' });
    } catch (error) {
      // A job that has already ended is not an error. After any other, the server may have
      // cancelled the job all the same. The record tells, unless the widget is stopped and does not
      // read it.
      const hasEnded = /** @type {any} */ (error).status === CONFLICT;
      const otherwise = this._holds.size ? 'failed' : 'unsure';
      this.#setCancellation(hasEnded ? undefined : otherwise);
    }
    this.#readAgain();
  }

  /** Polls now, and drops the response to a request that is open: it may be older. */
  #readAgain() {
    this._hold('again');
    this._hold('again', false);
  }

  /**
   * Handles each event of the poller. Every event redraws the widget. Events of the job, such as
   * `start`, also call the page's callback (`onStart`) and become DOM events
   * (`progress-polling:start`).
   *
   * @param {string} type
   * @param {any} detail
   */
  #handle(type, detail) {
    if (this._holds.has('destroyed')) this.#remove();
    this.#leaveWithContainer();
    if (this.#life.signal.aborted) return;
    this.#warn(detail?.data);
    if (type === 'answer' && this.#cancellation === 'unsure') {
      const { ended } = toState(this.snapshot ?? {});
      this.#cancellation = ended || this.snapshot?.cancel_requested ? undefined : 'failed';
    }
    this.#render();
    const settings = this.#settings;
    // Logs only the response, because the request may contain a password.
    if (settings.debug && type === 'answer')
      console.debug('progress-polling', this.jobId, detail.status, detail.data);
    if (!detail?.meta) return;
    // A deleted job does not come back. Before the callbacks, because one may start another job in
    // this container.
    const isGone = this.phase === 'lost' && ['not-found', 'gone'].includes(detail.data.kind);
    if (isGone) this.#store('');
    this.#callBack(type, detail);
    const name = `progress-polling:${type}`;
    this.#container.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
    if (isGone && settings.resumed && type === 'settled') this.destroy();
    if (type !== 'complete') return;
    const hide = () => {
      this.#ui.node.hidden = true;
      this.#store('');
    };
    if (settings.autoHideOnComplete) this.#later(hide, settings.autoHideDelay);
    // Not for a job that was complete when the page was loaded, which would reload it for ever.
    if (!detail.meta.initial) leavePage(settings);
  }

  /** Stops for good if the container was removed from the page. */
  #leaveWithContainer() {
    if (!this.#settled || this.#container.isConnected || this.#life.signal.aborted) return;
    this.#remove();
    this.destroy();
  }

  /**
   * Warns on the console, once per endpoint, if there was never a record: perhaps the address is
   * wrong.
   *
   * @param {any} error
   */
  #warn(error) {
    const endpoint = this.options.url ?? this.options.endpoint;
    if (this.snapshot || !['not-found', 'unreadable'].includes(error?.kind)) return;
    if (warned.has(endpoint)) return;
    warned.add(endpoint);
    console.warn(`progress-polling: no record at ${this.#address} (${error.message}).`);
  }

  /**
   * Calls the page's callback for an event, such as `onSignedOut` for `signedout`.
   *
   * @param {string} type
   * @param {{ data: any, meta: any }} detail
   */
  #callBack(type, { data, meta }) {
    const settings = /** @type {any} */ (this.#settings);
    const name = Object.keys(settings).find((key) => key.toLowerCase() === `on${type}`);
    try {
      if (name) settings[name]?.(data, meta);
    } catch (error) {
      // Reports an error in the page's callback as an uncaught one, and continues.
      reportError(error);
    }
  }

  /**
   * @param {() => void} action
   * @param {number} delay
   */
  #later(action, delay) {
    const { clock } = this.options;
    clock.clearTimeout(this.#timer);
    this.#timer = clock.setTimeout(action, delay);
  }

  #remove() {
    this.#life.abort();
    this.options.clock.clearTimeout(this.#timer);
    this.#ui.remove();
    if (this.#container.progressPolling === this) this.#container.progressPolling = null;
  }
}

/**
 * @param {string | Element} target
 * @returns {Element & { progressPolling?: ProgressPolling | null }}
 */
function containerOf(target) {
  const container = typeof target === 'string' ? document.getElementById(target) : target;
  // `instanceof Element` would be false for an element of another frame.
  if (container?.dispatchEvent) return container;
  throw new TypeError(`ProgressPolling: no element "${target}".`);
}

/** @param {Element} container */
function languageOf(container) {
  const { lang } = /** @type {HTMLElement} */ (
    container.closest('[lang]') ?? document.documentElement
  );
  return lang;
}
