/** @import { WidgetOptions } from './progress-polling.js' */
import { exchange } from './exchange.js';
import { createFace } from './face.js';
import { followLog } from './log.js';
import { widgetOptions } from './options.js';
import { followPage, leavePage } from './page.js';
import { memoryOf } from './persistence.js';
import { ProgressPoller } from './poller.js';
import { count } from './record.js';
import { ensureStyles } from './stylesheet.js';
import { translator } from './translator.js';
import { belongingUrl } from './urls.js';
import { viewOf } from './view.js';

/** Milliseconds of silence before a record counts as stale, where the server does not tell. */
const STALE_AFTER = 15_000;

/** What the server says of a cancellation that comes too late. */
const CONFLICT = 409;

/** A progress bar in a place of the page: a poller with a face. */
export class ProgressPolling extends ProgressPoller {
  /**
   * @param {string | Element} target an element, or its id
   * @param {string} jobId
   * @param {WidgetOptions} [given]
   */
  constructor(target, jobId, given = {}) {
    const place = placeOf(target);
    if (!jobId && !given.url) throw new TypeError('ProgressPolling: no job id.');
    const options = widgetOptions(given);
    super(jobId, options);
    const life = new AbortController();
    const { signal } = life;
    const { clock } = this.options;
    /** @type {any} */
    let timer;
    /** @type {'sent' | 'failed' | undefined} the reader's wish, on its way to the server */
    let cancellation;
    /** @type {number | undefined} since when the worker is silent, on this page's own clock: the record's is another one */
    let silentSince;
    let seenAlive = false;
    /** A place that is not yet in the page does not tell what surrounds it. */
    let settled = false;
    /** @type {ReturnType<typeof translator>} */
    let words;
    /** @type {ReturnType<typeof createFace>} */
    let face;

    const later = (/** @type {() => void} */ action, /** @type {number} */ delay) => {
      clock.clearTimeout(timer);
      timer = clock.setTimeout(action, delay);
    };

    const draw = () => {
      settled = place.isConnected;
      words = translator(options.lang ?? languageOf(place), options.messages);
      face = createFace(words, options, () => this.start(), cancel);
      place.replaceChildren(face.node);
      if (!settled) return;
      ensureStyles(face.node);
      if (options.showLog) followLog(this, face.append, signal);
    };

    const render = () => {
      if (signal.aborted) return;
      if (!settled && place.isConnected) draw();
      // What the page's parser has put into an element after it had begun.
      if (place.childNodes[1]) place.replaceChildren(face.node);
      const { snapshot } = this;
      const now = clock.now();
      if (snapshot?.stale === true) silentSince ??= now - (count(snapshot.stale_after_ms) ?? STALE_AFTER);
      else {
        silentSince = undefined;
        seenAlive ||= !!snapshot;
      }
      // A silence that began before this page came may be longer.
      const silence = silentSince !== undefined && (seenAlive ? '' : '≥ ') + words.duration((now - silentSince) / 1000);
      const view = viewOf(this, { now, silence, cancellation }, words);
      face.render(view);
      // What is said of a trouble tells the time.
      if (view.line && this.phase !== 'ended') later(render, 1000);
    };

    const cancel = async () => {
      cancellation = 'sent';
      render();
      await exchange(this.options, belongingUrl(this.url, 'cancel'), { method: 'POST' }).catch(({ status }) => {
        // The job had ended before: nothing to cancel, and nothing wrong.
        if (status !== CONFLICT) cancellation = 'failed';
      });
      render();
      this.refresh();
    };

    // Every event is shown; those that tell of the job are also told to the page's callbacks, as `onStart` for `start`,
    // and to the elements around, as `progress-polling:start`.
    this.tell = (/** @type {string} */ type, /** @type {any} */ detail) => {
      if (this.holds.has('destroyed')) {
        life.abort();
        clock.clearTimeout(timer);
        face.node.remove();
        if (place.progressPolling === this) place.progressPolling = null;
        return;
      }
      render();
      // What came back and how far the job is; never what was sent, which may hold a password.
      if (options.debug && type === 'answer') console.debug('progress-polling', jobId, detail.status, detail.data);
      if (!detail?.meta) return;
      // Before a callback puts another job into this place.
      if (options.persist && this.phase === 'ended') memoryOf(place.id, '');
      try {
        /** @type {any} */ (options)[`on${type[0].toUpperCase()}${type.slice(1)}`]?.(detail.data, detail.meta);
      } catch (error) {
        // A mistake in the page's callback is shown where the page's mistakes are shown, and harms nothing else.
        reportError(error);
      }
      place.dispatchEvent(new CustomEvent(`progress-polling:${type}`, { bubbles: true, detail }));
      if (type !== 'complete') return;
      if (options.autoHideOnComplete) later(() => (face.node.hidden = true), options.autoHideDelay);
      // A job that was complete when the page came would send it away again and again.
      if (!detail.meta.initial) leavePage(options);
    };

    place.progressPolling?.destroy();
    place.progressPolling = this;
    draw();
    // Before the page is painted, whoever made the place has put it where it belongs.
    requestAnimationFrame(render);
    if (options.persist) memoryOf(place.id, jobId);
    followPage(this, options.whenHidden, signal);
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
    const jobId = memoryOf(placeOf(target).id);
    return jobId ? new ProgressPolling(target, jobId, { persist: true, ...options }) : null;
  }
}

/**
 * @param {string | Element} target
 * @returns {Element & { progressPolling?: ProgressPolling | null }}
 */
function placeOf(target) {
  const place = typeof target === 'string' ? document.getElementById(target) : target;
  // An element of another frame is not an instance of this one's class.
  if (place?.dispatchEvent) return place;
  throw new TypeError(`ProgressPolling: no element "${target}".`);
}

/** @param {Element} place */
function languageOf(place) {
  return /** @type {HTMLElement} */ (place.closest('[lang]') ?? document.documentElement).lang;
}
