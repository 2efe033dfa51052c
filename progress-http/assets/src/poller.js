/** @import { PollerOptions, ProgressData } from './progress-polling.js' */
/** @import { Answer } from './channel.js' */
/** @import { PollError } from './errors.js' */
import { Channel } from './channel.js';
import { pollerOptions } from './options.js';
import { toState } from './record.js';
import { RetryPolicy } from './retry.js';
import { statusUrl, withOtherEnding } from './urls.js';

/**
 * `idle` not started, or stopped · `live` · `retrying` the last request failed · `lost` given up · `ended` the
 * job has ended, nothing more is asked
 *
 * @typedef {'idle' | 'live' | 'retrying' | 'lost' | 'ended'} Phase
 */

/** A slow server is left alone for as long as it took to answer, but not for longer than this. */
const LONGEST_REST = 30_000;

/** The event that tells of each ending. */
const ENDINGS = { completed: 'complete', failed: 'error', cancelled: 'cancelled' };

/**
 * Follows one job. Knows nothing of pages: whoever has one calls `hold`, `release` and sets `hidden`.
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
  /** When the next attempt is due, on the poller's clock; meaningful while `retrying`. */
  retryAt = 0;
  /** How many answers were received. */
  polls = 0;
  /** A hidden page asks less often. */
  hidden = false;
  /** @type {Promise<ProgressData>} the data of the ending; rejects when the poller gives up or is destroyed */
  finished;

  // What the channel goes by.
  /** When the next turn is; `Infinity` while there is none, or a request is open. */
  due = Infinity;
  /** How much earlier the turn may come, to share a request. */
  slack = 0;
  /** @type {string | null} */
  etag = null;
  /** @type {Channel | null} */
  channel = null;

  /** @type {Set<string>} reasons not to ask at all */
  #holds = new Set();
  /** @type {ReturnType<typeof toState> | null} of the snapshot */
  #state = null;
  /** @type {string | null} the latest accepted answer, to see whether another one says the same */
  #text = null;
  /** The highest that was seen; an answer without one does not undo it. */
  #version = 0;
  #started = false;
  #givenUp = false;
  #resolve = /** @type {(data: ProgressData) => void} */ (() => {});
  #reject = /** @type {(reason: unknown) => void} */ (() => {});

  /**
   * @param {string} jobId
   * @param {PollerOptions} [options]
   */
  constructor(jobId, options = {}) {
    super();
    this.jobId = jobId;
    this.options = pollerOptions(options);
    this.url = statusUrl(this.options, jobId);
    this.retry = new RetryPolicy(this.options);
    this.finished = this.#promise();
  }

  /** Asks at once and then again and again; after giving up, tries afresh. */
  start() {
    if (this.phase === 'lost') {
      this.finished = this.#promise();
      this.#givenUp = false;
      this.retry.reset();
    }
    if (this.phase === 'idle') this.#enter('live');
    this.refresh();
  }

  /** Asks no more until `start`; an answer that is under way is dropped. */
  stop() {
    this.#halt();
    if (this.phase !== 'ended') this.#enter('idle');
  }

  /** Asks now instead of at the next turn. */
  refresh() {
    if (this.phase === 'idle' || this.phase === 'ended' || this.#holds.size || this.channel?.asksFor(this)) return;
    this.#wait(0);
  }

  /** Stops for good. */
  destroy() {
    this.stop();
    this.#holds.add('destroyed');
    this.#reject(new DOMException('The poller was destroyed.', 'AbortError'));
  }

  /** @param {string} reason nothing is asked while there is one: `offline`, for example */
  hold(reason) {
    this.#holds.add(reason);
    this.#halt();
    this.#emit('connection');
  }

  /** @param {string} reason */
  release(reason) {
    if (!this.#holds.delete(reason)) return;
    this.#emit('connection');
    this.refresh();
  }

  /** @param {string} reason */
  isHeld(reason) {
    return this.#holds.has(reason);
  }

  #halt() {
    this.channel?.leave(this);
    this.channel = null;
  }

  /**
   * @param {Answer} answer
   * @param {number} spent
   */
  accept(answer, spent) {
    this.polls += 1;
    this.retry.reset();
    this.#givenUp = false;
    this.error = null;
    const { data } = answer;
    const state = data && toState(data);
    const text = JSON.stringify(data);
    // A replica that lags behind, or a cache, may answer with an older state; what was shown is not taken back.
    const current = state && (state.version ?? Infinity) >= this.#version;
    const news = current && text !== this.#text;
    const initial = this.snapshot === null;
    if (current) {
      this.etag = answer.etag;
      this.#version = state.version ?? this.#version;
    }
    if (news) {
      this.#state = state;
      this.snapshot = data;
      this.#text = text;
    }
    // The next turn is settled before anyone is told, so that a listener may stop, refresh or throw.
    if (this.#state?.ended) {
      this.#halt();
      this.#enter('ended');
    } else {
      this.#rest(spent);
      this.#enter('live');
    }
    this.#emit('answer', answer);
    if (news) this.#publish(state, { data, meta: { initial, polls: this.polls } });
  }

  /**
   * @param {ReturnType<typeof toState>} state
   * @param {{ data: ProgressData | null, meta: object }} detail
   */
  #publish(state, detail) {
    if (state.status === 'running' && !this.#started) {
      this.#started = true;
      this.#emit('start', detail);
    }
    this.#emit('progress', detail);
    if (!state.ended) return;
    this.#resolve(/** @type {ProgressData} */ (detail.data));
    this.#emit(ENDINGS[/** @type {keyof ENDINGS} */ (state.status)], detail);
    this.#emit('settled', detail);
  }

  /**
   * @param {PollError} error
   * @param {number} delay until the next attempt, which the channel has arranged; `Infinity` to give up
   */
  fail(error, delay) {
    this.error = error;
    this.slack = 0;
    const meta = { initial: this.snapshot === null, polls: this.polls };
    if (delay === Infinity) return this.#giveUp(error, meta);
    // The record may not be visible yet, or be known by the other address.
    if (error.kind === 'not-found' && !this.snapshot && !this.options.url) this.url = withOtherEnding(this.url);
    this.retryAt = this.options.clock.now() + delay;
    this.#enter('retrying');
    this.#emit('retry', { data: error, meta: { ...meta, delay } });
  }

  /**
   * @param {PollError} error
   * @param {object} meta
   */
  #giveUp(error, meta) {
    this.#halt();
    this.#enter('lost');
    // A page that comes back to the front looks once more by itself; being told the same again would be noise.
    if (this.#givenUp) return;
    this.#givenUp = true;
    this.#reject(error);
    this.#emit('error', { data: error, meta });
    this.#emit('settled', { data: error, meta });
  }

  /**
   * A quick server is asked at even intervals, from start to start. A slow one gets as much rest as it needed for the
   * answer, so that no page keeps a request open for more than half of the time.
   *
   * @param {number} spent
   */
  #rest(spent) {
    const { pollInterval, hiddenPollInterval } = this.options;
    const wanted = this.hidden ? Math.max(pollInterval, hiddenPollInterval) : pollInterval;
    const interval = Math.max(wanted, this.#state?.pollAfter ?? 0);
    this.slack = interval / 2;
    this.#wait(Math.max(interval - spent, Math.min(spent, LONGEST_REST)));
  }

  /** @param {number} delay */
  #wait(delay) {
    this.due = this.options.clock.now() + delay;
    this.channel ??= Channel.for(this);
    this.channel.arrange(this);
  }

  /** @param {Phase} phase */
  #enter(phase) {
    if (this.phase === phase && phase !== 'retrying') return;
    this.phase = phase;
    this.#emit('connection');
  }

  #promise() {
    const promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever does not ask for the promise shall not hear of its rejection.
    promise.catch(() => {});
    return promise;
  }

  /**
   * @param {string} type
   * @param {unknown} [detail]
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
