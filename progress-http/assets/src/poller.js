/** @import { PollerOptions, ProgressData } from './progress-polling.js' */
/** @import { Answer, Channel } from './channel.js' */
/** @import { PollError, PollErrorKind } from './errors.js' */
import { channelFor } from './channel.js';
import { isOutage } from './errors.js';
import { pollerOptions } from './options.js';
import { ENDINGS, count, toState } from './record.js';
import { statusUrl, withOtherEnding } from './urls.js';

/**
 * `idle` not started, or stopped · `live` · `retrying` the last request failed · `lost` given up · `ended` the
 * job has ended, nothing more is asked
 *
 * @typedef {'idle' | 'live' | 'retrying' | 'lost' | 'ended'} Phase
 */

/** A page that asks for less than this would only load the server: nobody reads twenty numbers a second. */
const SHORTEST_INTERVAL = 50;

/** A slow server is left alone for as long as it took to answer, but not for longer than this. */
const LONGEST_REST = 30_000;

/** A proxy's error page in place of a record is either passing or permanent; two more looks tell which. */
const UNREADABLE_RETRIES = 2;

/**
 * Follows one job. Knows nothing of pages: whoever has one calls `hold` and sets `hidden`.
 *
 * Events, each with `detail: { data, meta }`: `start`, `progress`, `complete`, `error`, `cancelled`, `settled`,
 * `retry`; and for onlookers `answer` (every answer) and `connection` (the phase, or the reason to wait, has
 * changed).
 */
export class ProgressPoller extends EventTarget {
  /** @type {ProgressData | null} the server's JSON of the latest accepted answer */
  snapshot = null;
  /** @type {Phase} */
  phase = 'idle';
  /** @type {PollError | null} why the phase is `retrying` or `lost` */
  error = null;
  /** How many answers were received. */
  polls = 0;
  /** A hidden page asks less often. */
  hidden = false;
  /** @type {Set<string>} reasons not to ask at all */
  holds = new Set(['idle']);
  /** @type {any} a promise of the data of the ending; rejects when the poller gives up or is destroyed */
  finished;

  /** @type {(type: string, detail: any) => void} what a poller with a face does after each event */
  tell = () => {};

  // What the channel goes by.
  /** When the next turn is, on the poller's clock; `Infinity` to give up. */
  due = 0;
  /** How much earlier the turn may come, to share a request. */
  slack = 0;
  /** @type {string | null} */
  etag = null;
  /** @type {Channel | null} */
  channel = null;

  /** @type {string | undefined} the latest accepted answer, to see whether another one says the same */
  #text;
  /** The highest that was seen; an answer without one does not undo it. */
  #version = 0;
  /** @type {PollErrorKind[]} in a row */
  #failures = [];
  #started = false;
  /** @type {((result: ProgressData | Error) => void) | null} settles `finished`; `null` when that has been done */
  #settle = null;

  /**
   * @param {string} jobId
   * @param {PollerOptions} [options]
   */
  constructor(jobId, options = {}) {
    super();
    // Some have numbers.
    this.jobId = `${jobId}`;
    this.options = pollerOptions(options);
    this.url = statusUrl(this.options, jobId);
    this.#begin();
  }

  /** Asks at once and then again and again; after giving up, tries afresh. */
  start() {
    if (this.holds.delete('idle') || this.phase === 'lost') {
      this.#begin();
      this.#enter('live');
    }
    this.refresh();
  }

  /** Asks no more until `start`; an answer that is under way is dropped. */
  stop() {
    if (this.phase !== 'ended') this.#leave('idle');
  }

  /** Asks now instead of at the next turn. */
  refresh() {
    if (!this.holds.size) this.#wait(0);
  }

  /** Stops for good. */
  destroy() {
    this.stop();
    this.hold('destroyed');
    this.#settle?.(new DOMException('destroyed', 'AbortError'));
  }

  /**
   * @param {string} reason nothing is asked while there is one: `offline`, for example
   * @param {boolean} [holds] whether there is
   */
  hold(reason, holds = true) {
    if (holds) {
      this.holds.add(reason);
      this.channel?.leave(this);
    } else if (!this.holds.delete(reason)) return;
    this.#emit('connection');
    this.refresh();
  }

  /**
   * @param {Answer} answer
   * @param {number} spent
   */
  accept(answer, spent) {
    this.polls += 1;
    this.#begin();
    const { data, etag } = answer;
    const detail = this.#detail(data);
    const version = count(data?.version) ?? this.#version;
    const before = this.#text;
    // A replica that lags behind, or a cache, may answer with an older state; what was shown is not taken back.
    if (data && version >= this.#version) {
      this.#version = version;
      this.#text = JSON.stringify(data);
      this.snapshot = data;
      this.etag = etag;
    }
    const news = this.#text !== before;
    const { status, ended } = toState((news && data) || {});
    // The next turn is settled before anyone is told, so that a listener may stop, refresh or throw.
    if (ended) {
      this.#leave('ended');
    } else {
      this.#rest(spent);
      this.#enter('live');
    }
    this.#emit('answer', answer);
    if (!news) return;
    if (status === 'running' && !this.#started) {
      this.#started = true;
      this.#emit('start', detail);
    }
    this.#emit('progress', detail);
    if (ended) this.#end(ENDINGS[/** @type {keyof ENDINGS} */ (status)], detail);
  }

  /**
   * Settles when to try again.
   *
   * @param {PollError} error
   * @param {number} jitter 0 to 1; keeps a thousand pages that lost the same server from coming back in the same
   *   millisecond
   */
  backOff(error, jitter) {
    const { kind, retryAfter } = error;
    const { clock, maxRetries, notFoundRetries, backoffBase, backoffMax } = this.options;
    /** @type {Partial<Record<PollErrorKind, number>>} */
    const limits = { 'not-found': notFoundRetries, unreadable: UNREADABLE_RETRIES };
    const limit = isOutage(error) ? maxRetries : (limits[kind] ?? 0);
    this.#failures.push(kind);
    // Kinds are counted apart: a restart must not use up the patience for a 404.
    const alike = this.#failures.filter((failure) => failure === kind).length;
    const pause = Math.min(backoffMax, backoffBase * 2 ** (this.#failures.length - 1)) * (0.5 + jitter / 2);
    this.due = alike > limit ? Infinity : clock.now() + Math.max(pause, retryAfter);
  }

  /** @param {PollError} error that `backOff` knows of */
  fail(error) {
    this.slack = 0;
    if (this.due === Infinity) {
      this.channel?.leave(this);
      this.#enter('lost', error);
      // A page that comes back to the front looks once more by itself; being told the same again would be noise.
      if (this.#settle) this.#end('error', this.#detail(error));
    } else {
      // The record may not be visible yet, or be known by the other address.
      if (error.kind === 'not-found' && !this.snapshot && !this.options.url) this.url = withOtherEnding(this.url);
      this.#enter('retrying', error);
      this.#emit('retry', this.#detail(error, { delay: this.due - this.options.clock.now() }));
    }
  }

  /**
   * @param {ProgressData | PollError | null | undefined} data
   * @param {object} [more]
   */
  #detail(data, more) {
    return { data, meta: { initial: !this.snapshot, polls: this.polls, ...more } };
  }

  /**
   * @param {string} type
   * @param {{ data: any }} detail
   */
  #end(type, detail) {
    this.#settle?.(detail.data);
    this.#settle = null;
    this.#emit(type, detail);
    this.#emit('settled', detail);
  }

  /**
   * A quick server is asked at even intervals, from start to start. A slow one gets as much rest as it needed for the
   * answer, so that no page keeps a request open for more than half of the time.
   *
   * @param {number} spent
   */
  #rest(spent) {
    const { pollInterval, hiddenPollInterval } = this.options;
    const whileHidden = this.hidden ? hiddenPollInterval : 0;
    const wished = count(this.snapshot?.poll_after_ms) ?? 0;
    const interval = Math.max(SHORTEST_INTERVAL, pollInterval, whileHidden, wished);
    this.slack = interval / 2;
    this.#wait(Math.max(interval - spent, Math.min(spent, LONGEST_REST)));
  }

  /** @param {number} delay */
  #wait(delay) {
    this.due = this.options.clock.now() + delay;
    this.channel ??= channelFor(this);
    this.channel.enlist(this);
  }

  /**
   * @param {Phase} phase
   * @param {PollError | null} [error]
   */
  #enter(phase, error = null) {
    if (this.phase === phase && this.error === error) return;
    this.phase = phase;
    this.error = error;
    this.#emit('connection');
  }

  /** @param {'idle' | 'ended'} phase in which nothing is asked */
  #leave(phase) {
    this.hold(phase);
    this.#enter(phase);
  }

  /** Nothing has failed yet, or no longer; a promise that has been settled makes room for another. */
  #begin() {
    this.#failures = [];
    if (this.#settle) return;
    this.finished = new Promise((resolve, reject) => {
      this.#settle = (result) => (result instanceof Error ? reject(result) : resolve(result));
    });
    // Whoever does not ask for the promise shall not hear of its rejection.
    this.finished.catch(() => {});
  }

  /**
   * @param {string} type
   * @param {unknown} [detail]
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
    this.tell(type, detail);
  }
}
