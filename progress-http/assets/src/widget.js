/** @import { WidgetOptions } from './progress-polling.js' */
/** @import { Cancellation, View } from './view.js' */
import { followLog } from './log.js';
import { widgetOptions } from './options.js';
import { followPage, leavePage } from './page.js';
import { storedJob } from './persistence.js';
import { ProgressPoller } from './poller.js';
import { count, toState } from './record.js';
import { request } from './request.js';
import { ensureStyles } from './stylesheet.js';
import { translator, withCapital } from './translator.js';
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
  /**
   * @param {string | Element} target an element, or its id
   * @param {string} jobId
   * @param {WidgetOptions} [given]
   */
  constructor(target, jobId, given = {}) {
    const container = containerOf(target);
    if (!jobId && !given.url) throw new TypeError('ProgressPolling: no job id.');
    const settings = widgetOptions(given);
    super(jobId, settings);
    container.progressPolling?.destroy();
    container.progressPolling = this;
    this._store = showIn(container, this, settings);
    this._store(jobId);
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
    this._store('');
    this.destroy();
  }
}

/**
 * Shows a poller in a container.
 *
 * @param {Container} container
 * @param {ProgressPolling} poller
 * @param {ReturnType<typeof widgetOptions> & { root?: any, resumed?: boolean }} settings
 * @returns {(jobId: string) => void} stores the job that `resume` follows; an empty one for none
 */
function showIn(container, poller, settings) {
  const { clock } = poller.options;
  /** Where the user interface is: the container, or its shadow root. */
  const root = settings.root ?? container;
  /** The first address of the record. */
  const address = poller.url;
  /** Ends the listeners of the widget. */
  const life = new AbortController();
  const { signal } = life;
  /** @type {any} */
  let timer;
  /** @type {Cancellation} */
  let cancellation;
  /** @type {number | undefined} when the heartbeats stopped, on the page's clock */
  let silentSince;
  let seenAlive = false;
  /** @type {View | undefined} the view with the highest percentage in the present attempt */
  let peak;
  /** Whether the widget was drawn inside the page, where its language and styles are known. */
  let settled = false;
  /** @type {ReturnType<typeof translator>} */
  let i18n;
  /** @type {ReturnType<typeof createUi>} */
  let ui;

  /** @param {string} jobId */
  const store = (jobId) => {
    if (settings.persist) storedJob(container.id, jobId);
  };

  /** Builds the user interface and puts it into the container. */
  const draw = () => {
    settled = container.isConnected;
    i18n = translator(settings.lang ?? languageOf(container), settings.messages);
    ui = createUi(i18n, settings, {
      tryAgain: () => poller.start(),
      reload: () => location.reload(),
      cancel: () => setCancellation('asking'),
      keep: () => setCancellation(undefined),
      confirmCancel: cancel,
      dismiss: () => poller.dismiss(),
    });
    root.replaceChildren(ui.node);
    if (!settled) return;
    ensureStyles(ui.node);
    if (settings.showLog) followLog(poller, ui.append, signal);
  };

  /** Shows the present state. */
  const render = () => {
    if (signal.aborted) return;
    if (!settled && container.isConnected) draw();
    // The parser may have added content, or a library that morphs the page has removed the widget.
    const { childNodes } = root;
    if (childNodes.length !== 1 || childNodes[0] !== ui.node) root.replaceChildren(ui.node);
    const now = clock.now();
    const view = viewOf(poller, i18n, now, silence(now), cancellation, peak);
    if (!view.lower) peak = view;
    ui.render(view);
    // The text of a problem contains a duration, which changes every second.
    if (view.line && poller._phase !== 'ended') later(render, 1000);
  };

  /**
   * Returns how long the worker has sent no heartbeat, as a text; false if it is alive.
   *
   * @param {number} now
   */
  const silence = (now) => {
    const { snapshot } = poller;
    if (snapshot?.stale !== true) {
      silentSince = undefined;
      seenAlive ||= !!snapshot;
      return false;
    }
    silentSince ??= now - (count(snapshot.stale_after_ms) ?? STALE_AFTER);
    // If the heartbeats stopped before the page was loaded, this is the least time.
    return (seenAlive ? '' : '≥ ') + i18n.duration((now - silentSince) / 1000);
  };

  /** @param {Cancellation} now */
  const setCancellation = (now) => {
    cancellation = now;
    render();
  };

  const cancel = async () => {
    setCancellation('sent');
    try {
      await request(poller.options, belongingUrl(poller.url, 'cancel'), { method: 'POST' });
    } catch (error) {
      // A job that has already ended is not an error. After any other, the server may have
      // cancelled the job all the same. The record tells, unless the widget is stopped and does not
      // read it.
      const hasEnded = /** @type {any} */ (error).status === CONFLICT;
      const otherwise = poller._holds.size ? 'failed' : 'unsure';
      setCancellation(hasEnded ? undefined : otherwise);
    }
    // Polls now, and drops the response to a request that is open: it may be older.
    poller._hold('again');
    poller._hold('again', false);
  };

  /**
   * Handles each event of the poller. Every event redraws the widget. Events of the job, such as
   * `start`, also call the page's callback (`onStart`) and become DOM events
   * (`progress-polling:start`).
   *
   * @param {string} type
   * @param {any} [detail]
   */
  const handle = (type, detail) => {
    if (poller._holds.has('destroyed')) remove();
    leaveWithContainer();
    if (signal.aborted) return;
    warn(detail?.data);
    if (type === 'answer' && cancellation === 'unsure') {
      const { ended } = toState(poller.snapshot ?? {});
      cancellation = ended || poller.snapshot?.cancel_requested ? undefined : 'failed';
    }
    render();
    // Logs only the response, because the request may contain a password.
    if (settings.debug && type === 'answer')
      console.debug('progress-polling', poller.jobId, detail);
    if (!detail?.meta) return;
    // A deleted job does not come back. Before the callbacks, because one may start another job in
    // this container.
    const isGone = poller._phase === 'lost' && ['not-found', 'gone'].includes(detail.data.kind);
    if (isGone) store('');
    callBack(type, detail);
    const name = `progress-polling:${type}`;
    container.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
    if (isGone && settings.resumed && type === 'settled') poller.destroy();
    if (type !== 'complete') return;
    const hide = () => {
      ui.node.hidden = true;
      store('');
    };
    if (settings.autoHideOnComplete) later(hide, settings.autoHideDelay);
    // Not for a job that was complete when the page was loaded, which would reload it for ever.
    if (!detail.meta.initial) leavePage(settings);
  };

  /** Stops for good if the container was removed from the page. */
  const leaveWithContainer = () => {
    if (!settled || container.isConnected || signal.aborted) return;
    remove();
    poller.destroy();
  };

  /**
   * Warns on the console, once per endpoint, if there was never a record: perhaps the address is
   * wrong.
   *
   * @param {any} error
   */
  const warn = (error) => {
    const endpoint = settings.url ?? settings.endpoint;
    if (poller.snapshot || !['not-found', 'unreadable'].includes(error?.kind)) return;
    if (warned.has(endpoint)) return;
    warned.add(endpoint);
    console.warn(`progress-polling: no record at ${address} (${error.message}).`);
  };

  /**
   * Calls the page's callback for an event, such as `onSignedOut` for `signedout`.
   *
   * @param {string} type
   * @param {{ data: any, meta: any }} detail
   */
  const callBack = (type, { data, meta }) => {
    const name = `on${withCapital(type).replace('out', 'Out')}`;
    try {
      /** @type {any} */ (settings)[name]?.(data, meta);
    } catch (error) {
      // Reports an error in the page's callback as an uncaught one, and continues.
      reportError(error);
    }
  };

  /**
   * @param {() => void} action
   * @param {number} delay
   */
  const later = (action, delay) => {
    clock.clearTimeout(timer);
    timer = clock.setTimeout(action, delay);
  };

  const remove = () => {
    life.abort();
    clock.clearTimeout(timer);
    ui.remove();
    if (container.progressPolling === poller) container.progressPolling = null;
  };

  poller._onEvent = handle;
  draw();
  // By the next frame the page has inserted a container that it has just created.
  requestAnimationFrame(render);
  followPage(poller, settings.whenHidden, signal);
  return store;
}

/** @typedef {Element & { progressPolling?: ProgressPolling | null }} Container */

/**
 * @param {string | Element} target
 * @returns {Container}
 */
function containerOf(target) {
  const container = typeof target === 'string' ? document.getElementById(target) : target;
  // `instanceof Element` would be false for an element of another frame.
  if (container?.dispatchEvent) return container;
  throw new TypeError(`ProgressPolling: no element "${target}".`);
}

/** @param {Element} container */
const languageOf = (container) =>
  /** @type {HTMLElement} */ (container.closest('[lang]') ?? document.documentElement).lang;
