/** @import { ResolvedPollerOptions } from './options.js' */
/** @import { ProgressPoller } from './poller.js' */
/** @import { ProgressData } from './progress-polling.js' */
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
  /** @type {Set<ProgressPoller>} */
  #members = new Set();
  /** @type {Set<ProgressPoller>} those the open request asks for */
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
   * @param {ProgressPoller} poller
   */
  static for({ jobId, options }) {
    const { endpoint, url, headers, fetch } = options;
    if (url || headers || fetch !== globalFetch || jobId.includes(',') || withoutLists.has(endpoint)) {
      return new Channel(options);
    }
    const channel = [...channels].find((known) => known.#suits(options)) ?? new Channel(options);
    channels.add(channel);
    return channel;
  }

  /** @param {ResolvedPollerOptions} options */
  #suits(options) {
    const names = /** @type {const} */ (['endpoint', 'credentials', 'requestTimeout', 'clock']);
    return names.every((name) => this.#options[name] === options[name]);
  }

  /** @param {ProgressPoller} poller whose turn is new */
  arrange(poller) {
    this.#members.add(poller);
    this.#schedule();
  }

  /** @param {ProgressPoller} poller */
  leave(poller) {
    this.#members.delete(poller);
    if (this.#asked.delete(poller) && !this.#asked.size) {
      this.#open?.abort();
      this.#open = null;
    }
    if (!this.#members.size) channels.delete(this);
    this.#schedule();
  }

  /** @param {ProgressPoller} poller */
  asksFor(poller) {
    return this.#asked.has(poller);
  }

  #schedule() {
    const { clock } = this.#options;
    const [next] = [...this.#members].sort((one, other) => one.due - other.due);
    clock.clearTimeout(this.#timer);
    if (this.#open || !next || next.due === Infinity) return;
    this.#timer = clock.setTimeout(() => this.#ask(next), Math.max(next.due - clock.now(), 0));
  }

  /** @param {ProgressPoller} first whose turn it is */
  async #ask(first) {
    const { clock } = this.#options;
    const started = clock.now();
    const controller = new AbortController();
    this.#open = controller;
    this.#asked = this.#together(first, Math.max(first.due, started));
    for (const poller of this.#asked) poller.due = Infinity;
    /** @type {() => void} */
    let consequence;
    try {
      const answers = await (this.#asked.size > 1 ? this.#many(controller) : this.#one(first, controller));
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
   * @param {ProgressPoller} first
   * @param {number} now
   */
  #together(first, now) {
    const others = [...this.#members].filter(({ due, slack }) => due <= now + Math.min(slack, first.slack));
    return new Set([first, ...others].slice(0, MOST_IDS));
  }

  /**
   * @param {ProgressPoller} poller
   * @param {AbortController} controller
   * @returns {Promise<(poller: ProgressPoller) => Answer | PollError>}
   */
  async #one({ url, etag }, controller) {
    const reply = await exchange(this.#options, url, { etag, controller });
    const data = reply.status === 304 ? null : parseData(reply.text);
    return () => ({ ...reply, data });
  }

  /**
   * @param {AbortController} controller
   * @returns {Promise<(poller: ProgressPoller) => Answer | PollError>}
   */
  async #many(controller) {
    const ids = new Set([...this.#asked].map(({ jobId }) => jobId));
    const reply = await exchange(this.#options, listUrl(this.#options, [...ids]), { controller });
    const { jobs } = parseData(reply.text);
    if (!Array.isArray(jobs)) throw new PollError('unreadable');
    return ({ jobId }) => {
      const data = jobs.find((job) => job?.job_id === jobId);
      return data ? { ...reply, etag: null, data } : new PollError('not-found', { status: 404 });
    };
  }

  /**
   * @param {(poller: ProgressPoller) => Answer | PollError} answerFor
   * @param {number} spent
   */
  #deliver(answerFor, spent) {
    const now = this.#options.clock.now();
    // The server answers again: those that wait for it need wait no longer.
    for (const poller of this.#members) if (poller.due === this.#pausedUntil) poller.due = now;
    this.#pausedUntil = 0;
    for (const poller of this.#asked) {
      this.#asked.delete(poller);
      const answer = answerFor(poller);
      if (answer instanceof PollError) this.#refuse([poller], answer);
      else poller.accept(answer, spent);
    }
  }

  /** @param {PollError} error */
  #fail(error) {
    const asked = [...this.#asked];
    this.#asked.clear();
    // A server that is away says so with 502, 503 or 504; one that stumbles over the list may know the jobs.
    if (asked.length > 1 && (!isOutage(error) || [500, 501].includes(error.status))) this.#disband();
    else this.#refuse(asked, error);
  }

  /**
   * @param {ProgressPoller[]} pollers
   * @param {PollError} error
   */
  #refuse(pollers, error) {
    const { clock, random } = this.#options;
    const now = clock.now();
    const jitter = random();
    const delays = pollers.map((poller) => poller.retry.after(error, jitter));
    // The most patient one decides for all, so that they come back together.
    let until = now + Math.max(...delays.filter((delay) => delay < Infinity), 0);
    if (isOutage(error)) {
      // A newcomer's first failure does not bring the next attempt forward.
      this.#pausedUntil = until = Math.max(this.#pausedUntil, until);
      for (const poller of this.#members) poller.due = Math.max(poller.due, until);
    }
    pollers.forEach((poller, index) => (poller.due = delays[index] < Infinity ? until : Infinity));
    for (const poller of pollers) {
      // A listener of the one before may have stopped this one, or asked for another turn.
      if (this.#members.has(poller) && poller.due >= until) poller.fail(error, poller.due - now);
    }
  }

  /** The endpoint does not answer for several jobs at once: from now on each asks for itself. */
  #disband() {
    withoutLists.add(this.#options.endpoint);
    for (const poller of this.#members) {
      this.leave(poller);
      poller.channel = null;
      poller.refresh();
    }
  }
}

/**
 * Whether the trouble is the server's, and not that of a job or of the one who asks.
 *
 * @param {PollError} error
 */
function isOutage({ kind }) {
  return ['network', 'timeout', 'server'].includes(kind);
}
