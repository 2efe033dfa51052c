/** @import { PollerOptions, ProgressData } from './progress-polling.js' */
/** @import { Answer, Channel } from './channel.js' */
/** @import { PollError, PollErrorKind } from './errors.js' */
import { channelFor } from './channel.js';
import { pollerOptions } from './options.js';
import { ENDINGS, count, toState } from './record.js';
import { statusUrl, withOtherEnding } from './urls.js';

/**
 * `idle` not started, or stopped · `live` · `retrying` the last request failed · `lost` given up ·
 * `ended` the job has ended, so polling has stopped
 *
 * @typedef {'idle' | 'live' | 'retrying' | 'lost' | 'ended'} Phase
 */

/** The shortest poll interval, in milliseconds: more updates are unreadable and only cost load. */
const SHORTEST_INTERVAL = 50;

/** After so many responses without a change, the next request waits for one. */
const QUIET_AFTER = 3;

/** The longest pause after a slow response, in milliseconds. */
const LONGEST_REST = 30_000;

/**
 * Follows one job without a page. The widget calls `_hold` and sets `hidden`.
 * Members with an underscore are not part of the API, and the build shortens their names.
 *
 * Events, each with `detail: { data, meta }`: `start`, `progress`, `complete`, `error`,
 * `cancelled`, `settled`, `retry`, `signedout`. Internal events: `answer` (every response) and
 * `connection` (the phase or `_holds` has changed).
 */
export class ProgressPoller extends EventTarget {
  /** @type {ProgressData | null} the JSON of the latest accepted response */
  snapshot = null;
  /** @type {Phase} */
  _phase = 'idle';
  /** @type {PollError | null} why the phase is `retrying` or `lost` */
  error = null;
  /** The number of responses. */
  polls = 0;
  /** Whether the page is hidden, which slows down polling. */
  hidden = false;
  /** Whether the browser reports that it is offline. Only a hint: the server may be this machine. */
  offline = false;
  /** @type {Set<string>} reasons to pause polling */
  _holds = new Set(['idle']);
  /** @type {any} promise of the final record; rejects if the poller gives up or is destroyed */
  finished;

  /**
   * The widget's hook, called after each event, and with the type `turn` before each request.
   *
   * @type {(type: string, detail?: any) => void}
   */
  _onEvent = () => {};

  // Used by the channel.
  /** When the next poll is due, on the poller's clock; `Infinity` to give up. */
  _due = 0;
  /**
   * How much earlier the poll may happen in order to share a request, in milliseconds. `Infinity`
   * while nothing moves: then the request may wait for a change.
   */
  _slack = 0;
  /** @type {Answer | null} the latest accepted response */
  _answer = null;
  /** @type {Channel | null} */
  _channel = null;

  /** The highest version so far; a response without a version does not reset it. */
  #version = 0;
  /** When the record was created, in milliseconds; 0 if unknown. */
  #created = 0;
  /** The responses since the last change. */
  #unchanged = 0;
  /** @type {PollErrorKind[]} the kinds of the failures since the last response */
  #failures = [];
  #started = false;
  /** @type {((result: ProgressData | Error) => void) | null} settles `finished`, then `null` */
  #settle = null;

  /**
   * @param {string} jobId
   * @param {PollerOptions} [options]
   */
  constructor(jobId, options = {}) {
    super();
    // A page may pass a number.
    this.jobId = `${jobId}`;
    this.options = pollerOptions(options);
    this.url = statusUrl(this.options, jobId);
    this.#begin();
  }

  /** Starts polling, at once and then regularly. After the poller gave up, starts over. */
  start() {
    if (this._holds.delete('idle') || this._phase === 'lost') {
      this.#begin();
      this.#enter('live');
    }
    this.refresh();
  }

  /** Stops polling until `start`, and drops the response to an open request. */
  stop() {
    if (this._phase !== 'ended') this.#leave('idle');
  }

  /** Polls now instead of at the next interval. */
  refresh() {
    this._slack = 0;
    if (!this._holds.size) this.#schedule(0);
  }

  /** Stops for good. */
  destroy() {
    this.stop();
    this._hold('destroyed');
    this.#settle?.(new DOMException('destroyed', 'AbortError'));
  }

  /**
   * Adds or removes a reason to pause polling, such as `offline`.
   *
   * @param {string} reason
   * @param {boolean} [holds] false to remove the reason
   */
  _hold(reason, holds = true) {
    if (holds) {
      this._holds.add(reason);
      this._channel?._leave(this);
    } else if (!this._holds.delete(reason)) return;
    this.#emit('connection');
    this.refresh();
  }

  /**
   * @param {Answer} answer
   * @param {ProgressData | null} data the record; `null` if it is unchanged
   * @param {number} spent how long the server took, in milliseconds; 0 if it waited for a change
   */
  _accept(answer, data, spent) {
    this.polls += 1;
    this.#begin();
    const detail = this.#detail(data);
    const version = count(data?.version) ?? this.#version;
    const created = Date.parse(data?.created_at) || this.#created;
    // A lagging replica or a cache may return an older state; progress never goes backwards. A
    // record that was created later replaces an earlier one with the same id.
    const isCurrent =
      data && (created === this.#created ? version >= this.#version : created > this.#created);
    const news = isCurrent && JSON.stringify(data) !== JSON.stringify(this.snapshot);
    if (isCurrent) {
      this.#version = version;
      this.#created = created;
      this.snapshot = data;
      this._answer = answer;
    }
    this.#unchanged = news ? 0 : this.#unchanged + 1;
    const { status, ended } = toState(news ? data : {});
    // Schedules the next poll before any event, so that a listener may stop, refresh or throw.
    if (ended) {
      this.#leave('ended');
    } else {
      this._rest(spent);
      this.#enter('live');
    }
    this.#emit('answer', { data });
    if (!news) return;
    if (status === 'running' && !this.#started) {
      this.#started = true;
      this.#emit('start', detail);
    }
    this.#emit('progress', detail);
    if (ended) this.#end(ENDINGS[/** @type {keyof ENDINGS} */ (status)], detail);
  }

  /**
   * Schedules the next attempt after a failure.
   *
   * @param {PollError} error
   */
  _backOff({ kind, _retryAfter: retryAfter }) {
    const { clock, random, maxRetries, notFoundRetries, backoffBase, backoffMax } = this.options;
    // Spreads the retries of many pages after an outage.
    const jitter = random();
    /** @type {Partial<Record<PollErrorKind, number>>} */
    const limits = { 'not-found': notFoundRetries, refused: 0, gone: 0 };
    const limit = limits[kind] ?? maxRetries;
    const longest = Math.min(backoffMax, backoffBase * 2 ** this.#failures.length);
    this.#failures.push(kind);
    // Each kind has its own limit: a server restart must not use up the retries for a 404.
    const alike = this.#failures.filter((other) => other === kind).length;
    // Pages that were told the same `Retry-After` must not return at the same moment either.
    const atLeast = retryAfter && retryAfter + jitter * backoffBase;
    const pause = Math.max(longest * (0.5 + jitter / 2), atLeast);
    this._due = alike > limit ? Infinity : clock.now() + pause;
  }

  /**
   * Reports a failure, after `_backOff` has scheduled a retry or given up.
   *
   * @param {PollError} error
   */
  _fail(error) {
    this._slack = 0;
    if (this._due === Infinity) {
      this._channel?._leave(this);
      this.#enter('lost', error);
      // A page that becomes visible polls once more; a second failure is not reported again.
      if (this.#settle) this.#end('error', this.#detail(error));
    } else {
      // The record may not be visible yet, or exist only at the URL with the other ending.
      if (error.kind === 'not-found' && !this.snapshot && !this.options.url)
        this.url = withOtherEnding(this.url);
      const before = this.error?.kind;
      this.#enter('retrying', error);
      if (error.kind === 'signed-out' && error.kind !== before)
        this.#emit('signedout', this.#detail(error));
      this.#emit('retry', this.#detail(error, { delay: this._due - this.options.clock.now() }));
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
   * Schedules the next poll: at even intervals from start to start. After a slow response the pause
   * is as long as the request took, so that a page has a request open for at most half of the time.
   *
   * @param {number} spent
   */
  _rest(spent) {
    const { pollInterval, hiddenPollInterval } = this.options;
    const whileHidden = this.hidden ? hiddenPollInterval : 0;
    // Only our server sends it; others may not know how to wait.
    const wished = count(this.snapshot?.poll_after_ms) ?? 0;
    const interval = Math.max(SHORTEST_INTERVAL, pollInterval, whileHidden, wished);
    this._slack = wished && this.#unchanged >= QUIET_AFTER ? Infinity : interval / 2;
    this.#schedule(Math.max(interval - spent, Math.min(spent, LONGEST_REST)));
  }

  /** @param {number} delay */
  #schedule(delay) {
    this._due = this.options.clock.now() + delay;
    this._channel ??= channelFor(this);
    this._channel._enlist(this);
  }

  /**
   * @param {Phase} phase
   * @param {PollError | null} [error]
   */
  #enter(phase, error = null) {
    if (this._phase === phase && this.error === error) return;
    this._phase = phase;
    this.error = error;
    this.#emit('connection');
  }

  /** @param {'idle' | 'ended'} phase without polling */
  #leave(phase) {
    this._hold(phase);
    this.#enter(phase);
  }

  /** Resets the failures, and replaces `finished` if it was settled. */
  #begin() {
    this.#failures = [];
    if (this.#settle) return;
    this.finished = new Promise((resolve, reject) => {
      this.#settle = (result) => (result instanceof Error ? reject(result) : resolve(result));
    });
    // Prevents an "unhandled rejection" in pages that do not use the promise.
    this.finished.catch(() => {});
  }

  /**
   * @param {string} type
   * @param {unknown} [detail]
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
    this._onEvent(type, detail);
  }
}
