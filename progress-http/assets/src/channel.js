/** @import { ResolvedPollerOptions } from './options.js' */
/** @import { ProgressData } from './progress-polling.js' */
/** @import { RetryPolicy } from './retry.js' */
import { PollError } from './errors.js';
import { exchange } from './exchange.js';
import { globalFetch } from './options.js';
import { parseData } from './record.js';
import { listUrl } from './urls.js';

/**
 * What the server says of one job.
 *
 * @typedef {object} Answer
 * @property {number} status 200, 202, 304 …
 * @property {string | null} etag
 * @property {ProgressData | null} data `null` for 304: nothing has changed
 */

/**
 * A poller's place in a channel, and what the channel tells it.
 *
 * @typedef {object} Seat
 * @property {string} jobId
 * @property {string} url
 * @property {RetryPolicy} retry
 * @property {number} due when its turn is; `Infinity` while it is being asked for
 * @property {number} slack how much earlier its turn may come, to share a request
 * @property {string | null} etag
 * @property {Channel | null} channel
 * @property {(answer: Answer, spent: number) => void} accept
 * @property {(error: PollError, delay: number | null) => void} fail `null` when it is time to give up
 */

/** The server takes no more in one request. */
const MOST_IDS = 100;

/** @type {Set<Channel>} those that are open for others */
const channels = new Set();

/** Endpoints that do not answer for several jobs at once. */
const withoutLists = new Set();

/**
 * The way to a server: one request at a time, for all the jobs whose turn it is, and one pause for all of them when it
 * fails. A job that is alone is asked for by its own address, where an answer may be 304.
 */
export class Channel {
  #options;
  /** @type {Set<Seat>} */
  #seats = new Set();
  /** @type {Set<Seat>} those the open request asks for */
  #asked = new Set();
  /** @type {AbortController | null} of the open request */
  #open = null;
  /** @type {any} */
  #timer;
  /** Until when a failing server is left alone; 0 when it does not fail. */
  #pausedUntil = 0;

  /** @param {ResolvedPollerOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /**
   * The channel for a poller. An address, headers or a `fetch` of its own make it one that nobody else can use.
   *
   * @param {string} jobId
   * @param {ResolvedPollerOptions} options
   */
  static for(jobId, options) {
    const { endpoint, url, headers, fetch } = options;
    const alone = url || headers || fetch !== globalFetch || jobId.includes(',') || withoutLists.has(endpoint);
    if (alone) return new Channel(options);
    const known = [...channels].find((channel) => channel.#suits(options));
    const channel = known ?? new Channel(options);
    channels.add(channel);
    return channel;
  }

  /** @param {ResolvedPollerOptions} options */
  #suits(options) {
    const names = /** @type {const} */ (['endpoint', 'credentials', 'requestTimeout', 'clock']);
    return names.every((name) => this.#options[name] === options[name]);
  }

  /** @param {Seat} seat whose turn is new */
  arrange(seat) {
    this.#seats.add(seat);
    this.#schedule();
  }

  /** @param {Seat} seat */
  leave(seat) {
    this.#seats.delete(seat);
    if (this.#asked.delete(seat) && !this.#asked.size) {
      this.#open?.abort(new PollError('network'));
      this.#open = null;
    }
    if (!this.#seats.size) channels.delete(this);
    this.#schedule();
  }

  /** @param {Seat} seat */
  asksFor(seat) {
    return this.#asked.has(seat);
  }

  /** @returns {Seat | undefined} whose turn is next */
  #next() {
    return [...this.#seats].filter(({ due }) => due < Infinity).sort((one, other) => one.due - other.due)[0];
  }

  #schedule() {
    const { clock } = this.#options;
    const next = this.#next();
    clock.clearTimeout(this.#timer);
    if (next && !this.#open) this.#timer = clock.setTimeout(() => this.#ask(next), Math.max(next.due - clock.now(), 0));
  }

  /** @param {Seat} first */
  async #ask(first) {
    const { clock } = this.#options;
    const started = clock.now();
    const controller = new AbortController();
    const asked = this.#together(first, Math.max(first.due, started));
    this.#asked = asked;
    this.#open = controller;
    for (const seat of asked) seat.due = Infinity;
    /** @type {() => void} */
    let consequence;
    try {
      const answers = await (asked.size > 1 ? this.#many([...asked], controller) : this.#one(first, controller));
      consequence = () => this.#deliver(answers, clock.now() - started);
    } catch (error) {
      consequence = () => this.#fail(/** @type {PollError} */ (error));
    }
    // Everybody has left in the meantime: this answer comes too late to count.
    if (this.#open !== controller) return;
    this.#open = null;
    consequence();
    this.#schedule();
  }

  /**
   * Whoever is due within half an interval comes along, so that bars which were made at different times ask together.
   *
   * @param {Seat} first
   * @param {number} now
   */
  #together(first, now) {
    const others = [...this.#seats].filter(
      (seat) => seat !== first && seat.due <= now + Math.min(seat.slack, first.slack),
    );
    return new Set([first, ...others].slice(0, MOST_IDS));
  }

  /**
   * @param {Seat} seat
   * @param {AbortController} controller
   * @returns {Promise<(seat: Seat) => Answer | PollError>}
   */
  async #one({ url, etag }, controller) {
    const reply = await exchange(this.#options, url, { etag, controller });
    const data = reply.status === 304 ? null : parseData(reply.text);
    return () => ({ status: reply.status, etag: reply.etag, data });
  }

  /**
   * @param {Seat[]} seats
   * @param {AbortController} controller
   * @returns {Promise<(seat: Seat) => Answer | PollError>}
   */
  async #many(seats, controller) {
    const ids = seats.map(({ jobId }) => jobId);
    const { status, text } = await exchange(this.#options, listUrl(this.#options, [...new Set(ids)]), { controller });
    const { jobs } = parseData(text);
    if (!Array.isArray(jobs)) throw new PollError('unreadable', { status });
    return ({ jobId }) => {
      const data = jobs.find((job) => job?.job_id === jobId);
      return data ? { status, etag: null, data } : new PollError('not-found', { status: 404 });
    };
  }

  /**
   * @param {(seat: Seat) => Answer | PollError} answerFor
   * @param {number} spent
   */
  #deliver(answerFor, spent) {
    this.#resume();
    for (const seat of this.#asked) {
      this.#asked.delete(seat);
      const answer = answerFor(seat);
      if (answer instanceof PollError) this.#refuse([seat], answer);
      else seat.accept(answer, spent);
    }
  }

  /** @param {PollError} error */
  #fail(error) {
    const asked = [...this.#asked];
    this.#asked.clear();
    if (asked.length > 1 && !isOutage(error)) this.#disband(asked);
    else this.#refuse(asked, error);
  }

  /**
   * @param {Seat[]} seats
   * @param {PollError} error
   */
  #refuse(seats, error) {
    const { clock, random } = this.#options;
    const now = clock.now();
    const jitter = random();
    const delays = seats.map((seat) => seat.retry.after(error, jitter));
    // The most patient one decides for all, so that they come back together.
    let until = now + Math.max(...delays.map((delay) => delay ?? 0));
    if (isOutage(error)) until = this.#pause(until);
    const dues = delays.map((delay) => (delay === null ? Infinity : until));
    seats.forEach((seat, index) => (seat.due = dues[index]));
    seats.forEach((seat, index) => {
      // A listener of the one before may have stopped this one, or asked for another turn.
      if (!this.#seats.has(seat) || seat.due !== dues[index]) return;
      seat.fail(error, delays[index] === null ? null : until - now);
    });
  }

  /**
   * Nobody asks a failing server by turns: all wait for the same moment.
   *
   * @param {number} until
   * @returns {number} that moment; a newcomer's failure does not bring it forward
   */
  #pause(until) {
    this.#pausedUntil = Math.max(this.#pausedUntil, until);
    for (const seat of this.#seats) seat.due = Math.max(seat.due, this.#pausedUntil);
    return this.#pausedUntil;
  }

  /** The server answers again: those that wait for it need wait no longer. */
  #resume() {
    const now = this.#options.clock.now();
    for (const seat of this.#seats) if (seat.due === this.#pausedUntil) seat.due = now;
    this.#pausedUntil = 0;
  }

  /**
   * The endpoint does not answer for several jobs at once: from now on each asks for itself.
   *
   * @param {Seat[]} asked
   */
  #disband(asked) {
    withoutLists.add(this.#options.endpoint);
    channels.delete(this);
    for (const seat of asked) seat.due = this.#options.clock.now();
    for (const seat of this.#seats) {
      seat.channel = new Channel(this.#options);
      seat.channel.arrange(seat);
    }
    this.#seats.clear();
  }
}

/**
 * Whether the trouble is the server's, and not that of a job or of the one who asks.
 *
 * @param {PollError} error
 */
function isOutage({ kind }) {
  return kind === 'network' || kind === 'timeout' || kind === 'server';
}
