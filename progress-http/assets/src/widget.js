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

/** How long the worker is silent before `stale` is set, unless the server says, in milliseconds. */
const STALE_AFTER = 15_000;

/** The HTTP status of a cancel request for a job that has ended. */
const CONFLICT = 409;

/** A progress bar in a container: a poller with a user interface. */
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
    /** @type {'sent' | 'failed' | undefined} the state of the cancel request */
    let cancellation;
    /** @type {number | undefined} when the worker fell silent, on the page's clock */
    let silentSince;
    let seenAlive = false;
    /** Whether the widget was drawn inside the page, where its language and styles are known. */
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
      // The parser may have added content to the element after the widget was drawn.
      if (place.childNodes[1]) place.replaceChildren(face.node);
      const { snapshot } = this;
      const now = clock.now();
      if (snapshot?.stale === true)
        silentSince ??= now - (count(snapshot.stale_after_ms) ?? STALE_AFTER);
      else {
        silentSince = undefined;
        seenAlive ||= !!snapshot;
      }
      // If the worker fell silent before the page was loaded, this is the least time.
      const silence =
        silentSince !== undefined &&
        (seenAlive ? '' : '≥ ') + words.duration((now - silentSince) / 1000);
      const view = viewOf(this, { now, silence, cancellation }, words);
      face.render(view);
      // The text of a problem contains a duration, which changes every second.
      if (view.line && this.phase !== 'ended') later(render, 1000);
    };

    const cancel = async () => {
      cancellation = 'sent';
      render();
      await exchange(this.options, belongingUrl(this.url, 'cancel'), { method: 'POST' }).catch(
        ({ status }) => {
          // The job has already ended, which is not an error.
          if (status !== CONFLICT) cancellation = 'failed';
        },
      );
      render();
      this.refresh();
    };

    // Every event redraws the widget. Events of the job, such as `start`, also call the page's
    // callback (`onStart`) and become DOM events (`progress-polling:start`).
    this.tell = (/** @type {string} */ type, /** @type {any} */ detail) => {
      if (this.holds.has('destroyed')) {
        life.abort();
        clock.clearTimeout(timer);
        face.node.remove();
        if (place.progressPolling === this) place.progressPolling = null;
        return;
      }
      render();
      // Logs only the response, because the request may contain a password.
      if (options.debug && type === 'answer')
        console.debug('progress-polling', jobId, detail.status, detail.data);
      if (!detail?.meta) return;
      // Before the callbacks, because one may start another job in this container.
      if (options.persist && this.phase === 'ended') memoryOf(place.id, '');
      try {
        /** @type {any} */ (options)[`on${type[0].toUpperCase()}${type.slice(1)}`]?.(
          detail.data,
          detail.meta,
        );
      } catch (error) {
        // Reports an error in the page's callback as an uncaught one, and continues.
        reportError(error);
      }
      place.dispatchEvent(new CustomEvent(`progress-polling:${type}`, { bubbles: true, detail }));
      if (type !== 'complete') return;
      if (options.autoHideOnComplete) later(() => (face.node.hidden = true), options.autoHideDelay);
      // Not for a job that was complete when the page was loaded, which would reload it for ever.
      if (!detail.meta.initial) leavePage(options);
    };

    place.progressPolling?.destroy();
    place.progressPolling = this;
    draw();
    // By the next frame the page has inserted a container that it has just created.
    requestAnimationFrame(render);
    if (options.persist) memoryOf(place.id, jobId);
    followPage(this, options.whenHidden, signal);
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
  // `instanceof Element` would be false for an element of another frame.
  if (place?.dispatchEvent) return place;
  throw new TypeError(`ProgressPolling: no element "${target}".`);
}

/** @param {Element} place */
function languageOf(place) {
  return /** @type {HTMLElement} */ (place.closest('[lang]') ?? document.documentElement).lang;
}
