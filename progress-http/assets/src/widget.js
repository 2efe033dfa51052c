/** @import { ProgressData, WidgetOptions } from './progress-polling.js' */
import { cancelJob } from './cancel.js';
import { connectCallbacks } from './callbacks.js';
import { leavePage } from './leave.js';
import { LogReader } from './log-reader.js';
import { widgetOptions } from './options.js';
import { defaultEndpoint } from './origin.js';
import { followPage } from './page.js';
import { memoryOf } from './persistence.js';
import { ProgressPoller } from './poller.js';
import { toRecord } from './record.js';
import { Renderer } from './renderer.js';
import { SilenceWatch } from './silence.js';
import { ensureStyles } from './stylesheet.js';
import { Translator } from './translator.js';
import { viewOf } from './view.js';

/** @type {WeakMap<Element, ProgressPolling>} the widget in each place */
const places = new WeakMap();

/** A progress bar in a place of the page, which follows one job until its end. */
export class ProgressPolling {
  #place;
  #options;
  #poller;
  #renderer;
  #silence;
  #translator;
  #reader;
  /** A place that is not yet in the page does not tell what surrounds it. */
  #settled = false;
  /** @type {any} */
  #ticker;
  /** @type {any} */
  #hiding;
  /** @type {'none' | 'sent' | 'failed'} */
  #cancellation = 'none';
  #life = new AbortController();

  /**
   * @param {string | Element} target an element, or its id
   * @param {string} jobId
   * @param {WidgetOptions} [given]
   */
  constructor(target, jobId, given = {}) {
    const place = placeOf(target);
    if (!jobId && !given.url) throw new TypeError('ProgressPolling needs the id of a job.');
    const options = widgetOptions(given);
    const { signal } = this.#life;
    places.get(place)?.destroy();
    places.set(place, this);

    this.#place = place;
    this.#options = options;
    this.#poller = new ProgressPoller(jobId, { ...given, endpoint: given.endpoint ?? defaultEndpoint() });
    this.#silence = new SilenceWatch(options.clock);
    this.#translator = this.#translation();
    this.#renderer = this.#draw();
    this.#reader = options.showLog ? this.#readLog(signal) : null;
    // Before the page is painted, whoever made the place has put it where it belongs.
    if (!place.isConnected) requestAnimationFrame(() => this.#render());
    if (options.persist) memoryOf(place.id).remember(jobId);

    this.#poller.addEventListener('connection', () => this.#render(), { signal });
    this.#poller.addEventListener('progress', () => this.#render(), { signal });
    this.#poller.addEventListener('answer', () => this.#settled || this.#render(), { signal });
    if (options.debug) this.#poller.addEventListener('answer', (event) => debug(jobId, event), { signal });
    connectCallbacks(this.#poller, options, (type, detail) => this.#tell(type, detail), signal);
    followPage(this.#poller, options.whenHidden, signal);
    this.start();
  }

  /**
   * After a refresh of the page: follows the job that the place followed before, if it was told to `persist` it.
   *
   * @param {string | Element} target
   * @param {WidgetOptions} [options]
   * @returns {ProgressPolling | null} `null` when there is no such job
   */
  static resume(target, options = {}) {
    const jobId = memoryOf(placeOf(target).id).recall();
    return jobId ? new ProgressPolling(target, jobId, { persist: true, ...options }) : null;
  }

  /** The server's JSON as it came last, or `null`. */
  get snapshot() {
    return this.#poller.snapshot;
  }

  /** @returns {Promise<ProgressData>} the data of the ending; rejects when the widget gives up or is destroyed */
  get finished() {
    return this.#poller.finished;
  }

  start() {
    this.#poller.start();
    this.#render();
  }

  stop() {
    this.#poller.stop();
  }

  refresh() {
    this.#poller.refresh();
  }

  destroy() {
    const { clock } = this.#options;
    this.#life.abort();
    this.#poller.destroy();
    clock.clearTimeout(this.#ticker);
    clock.clearTimeout(this.#hiding);
    this.#renderer.node.remove();
    if (places.get(this.#place) === this) places.delete(this.#place);
  }

  #translation() {
    const { lang = languageOf(this.#place), messages } = this.#options;
    return new Translator(lang, messages);
  }

  #draw() {
    const renderer = new Renderer(this.#translator, this.#options, {
      tryAgain: () => this.#poller.start(),
      cancel: this.#options.allowCancel ? () => this.#cancel() : null,
    });
    this.#place.replaceChildren(renderer.node);
    return renderer;
  }

  /** Now that the surroundings are known: their language, and whether they have the style sheet. */
  #settle() {
    this.#settled = true;
    const translator = this.#translation();
    if (translator.language !== this.#translator.language) {
      this.#translator = translator;
      this.#renderer = this.#draw();
      this.#reader?.restart();
    }
    ensureStyles(this.#renderer.node);
  }

  #render() {
    if (this.#life.signal.aborted) return;
    if (!this.#settled && this.#place.isConnected) this.#settle();
    const { clock } = this.#options;
    const { snapshot, phase, error, due } = this.#poller;
    const record = snapshot && toRecord(snapshot);
    const situation = {
      record,
      phase,
      error,
      offline: this.#poller.isHeld('offline'),
      retryIn: due - clock.now(),
      silence: this.#silence.of(record),
      cancellation: this.#cancellation,
    };
    const view = viewOf(situation, this.#translator);
    this.#renderer.render(view);
    clock.clearTimeout(this.#ticker);
    if (view.changing) this.#ticker = clock.setTimeout(() => this.#render(), 1000);
  }

  async #cancel() {
    this.#cancellation = 'sent';
    this.#render();
    try {
      await cancelJob(this.#poller);
    } catch {
      this.#cancellation = 'failed';
      this.#render();
    }
  }

  /** @param {AbortSignal} signal */
  #readLog(signal) {
    const reader = new LogReader(this.#poller);
    reader.addEventListener('entries', (event) => {
      const { entries, dropped } = /** @type {CustomEvent} */ (event).detail;
      this.#renderer.log?.append(entries, dropped);
    });
    signal.addEventListener('abort', () => reader.stop(), { once: true });
    return reader;
  }

  /**
   * @param {string} type
   * @param {{ data: any, meta: { initial: boolean } }} detail
   */
  #tell(type, detail) {
    this.#place.dispatchEvent(new CustomEvent(`progress-polling:${type}`, { bubbles: true, detail }));
    if (type === 'settled' && this.#poller.phase === 'ended') memoryOf(this.#place.id).forget();
    if (type !== 'complete') return;
    const { autoHideOnComplete, autoHideDelay, clock } = this.#options;
    if (autoHideOnComplete) this.#hiding = clock.setTimeout(() => (this.#renderer.node.hidden = true), autoHideDelay);
    // A job that was complete when the page came would send it away again and again.
    if (!detail.meta.initial) leavePage(this.#options);
  }
}

/** @param {string | Element} target */
function placeOf(target) {
  const place = typeof target === 'string' ? document.getElementById(target) : target;
  if (place instanceof Element) return place;
  throw new TypeError(`ProgressPolling found no element with the id "${target}".`);
}

/** @param {Element} place */
function languageOf(place) {
  return (place.closest('[lang]') ?? document.documentElement).getAttribute('lang') || 'en';
}

/**
 * What came back and how far the job is; never what was sent, which may hold a password.
 *
 * @param {string} jobId
 * @param {Event} event
 */
function debug(jobId, event) {
  const { status, data } = /** @type {CustomEvent} */ (event).detail;
  console.debug('progress-polling', jobId, status, data);
}
