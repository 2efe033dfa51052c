/** @import { ResolvedPollerOptions } from './options.js' */
/** @import { ProgressPoller } from './poller.js' */
/** @import { Reply } from './request.js' */
import { PollError } from './errors.js';
import { hasJobs, isRecord, parseJson } from './record.js';
import { request } from './request.js';
import { listUrl } from './urls.js';

/**
 * The server's response for one or several jobs. `dataFor` returns the record of a job: `null` for
 * 304 (unchanged), `undefined` if it was not found.
 *
 * @typedef {Reply & { url: string, dataFor: (poller: ProgressPoller) => any }} Answer
 */

/** The most ids that the server accepts in one request. */
const MOST_IDS = 100;

/** How long a request waits, in milliseconds: the server's limit. Many proxies end it after 30 s. */
const WAIT = 25_000;

/** How long something that an endpoint does not support is not tried again, in milliseconds. */
const SUSPENSION = 30_000;

/** The most waiting requests of a page: browsers open six connections to a server of HTTP/1.1. */
const MOST_WAITING = 2;

/** @type {Set<Channel>} the channels that pollers may share */
const channels = new Set();

/** @type {Set<Channel>} the channels whose open request waits for a change */
const waiting = new Set();

/** @param {ResolvedPollerOptions['headers']} headers */
const comparable = (headers) =>
  typeof headers === 'function' ? headers : `${[...new Headers(headers)]}`;

/**
 * Returns the channel for a poller. Pollers share one if they have the same endpoint and request
 * settings: the same function for `headers`, or equal headers. A poller with a `url` gets a private
 * channel.
 *
 * @param {ProgressPoller} poller
 * @returns {Channel}
 */
export function channelFor({ jobId, options }) {
  if (options.url || jobId.includes(',')) return new Channel(options);
  const settings = /** @type {const} */ (['endpoint', 'credentials', 'requestTimeout', 'fetch']);
  const fits = (/** @type {Channel} */ { options: given }) =>
    settings.every((name) => given[name] === options[name]) &&
    comparable(given.headers) === comparable(options.headers);
  const channel = [...channels].find(fits) ?? new Channel(options);
  channels.add(channel);
  return channel;
}

/**
 * Whether the endpoint itself responded, and no proxy for it (502 to 504).
 *
 * @param {PollError} error
 */
const isFromEndpoint = ({ status }) => status > 0 && status <= 500;

/**
 * A channel to a server: one request at a time for all jobs that are due, and one pause for all of
 * them after a failure. A single job is requested by its own URL. While no job moves, a request
 * waits for a change to any of them.
 */
export class Channel {
  /** @type {Set<ProgressPoller>} */
  #members = new Set();
  /** @type {Set<ProgressPoller>} the pollers in the open request; empty while there is none */
  #asked = new Set();
  /** @type {AbortController | undefined} of the latest request */
  #controller;
  /** @type {any} */
  #timer;
  /** Whether the endpoint has returned a list before. */
  #knowsLists = false;
  /** Until when each job is requested by its own URL, because a list has failed. */
  #listsSuspendedUntil = 0;
  /** Until when no request waits, because one has failed, or was not confirmed. */
  #waitingSuspendedUntil = 0;
  /** When the pause after an outage ends; 0 without an outage. */
  #pausedUntil = 0;

  /** @param {ResolvedPollerOptions} options of the first poller */
  constructor(options) {
    this.options = options;
  }

  /** @param {ProgressPoller} poller whose `due` has changed */
  enlist(poller) {
    this.#members.add(poller);
    // A request that waits is for all members: they share the request that replaces it.
    if (waiting.has(this)) this.#drop();
    this.#schedule();
  }

  /** @param {ProgressPoller} poller */
  leave(poller) {
    poller.channel = null;
    this.#members.delete(poller);
    if (this.#asked.delete(poller) && !this.#asked.size) this.#drop();
    if (!this.#members.size) channels.delete(this);
    this.#schedule();
  }

  /** Aborts the open request. */
  #drop() {
    waiting.delete(this);
    this.#asked.clear();
    this.#controller?.abort();
  }

  #inOrder() {
    return [...this.#members].sort((one, other) => one.due - other.due);
  }

  #schedule() {
    const { clock } = this.options;
    clock.clearTimeout(this.#timer);
    const [next] = this.#inOrder();
    if (!next || this.#asked.size) return;
    this.#timer = clock.setTimeout(() => this.#ask(), Math.max(next.due - clock.now(), 0));
  }

  /** Returns the pollers of the next request. */
  #chooseTurn() {
    const now = this.options.clock.now();
    const members = this.#inOrder();
    const [first] = members;
    if (now < this.#listsSuspendedUntil) return [first];
    // Pollers due within half an interval join the request, so that bars that were created at
    // different times share one.
    const turn = Math.max(first.due, now);
    const together = members.filter(({ due, slack }) => due <= turn + Math.min(slack, first.slack));
    return together.slice(0, MOST_IDS);
  }

  async #ask() {
    for (const poller of this.#members) poller.onTurn();
    if (!this.#members.size) return;
    const { clock } = this.options;
    const started = clock.now();
    const pollers = (this.#asked = new Set(this.#chooseTurn()));
    this.#controller = new AbortController();
    const outcome = await this.#read(pollers).catch((/** @type {PollError} */ error) => error);
    // All pollers of this request have left: drop the response.
    if (!pollers.size) return;
    const now = clock.now();
    const asksToWait = waiting.delete(this);
    if (asksToWait && !(/** @type {any} */ (outcome).headers?.has('Preference-Applied')))
      this.#waitingSuspendedUntil = now + SUSPENSION;
    try {
      if (!(outcome instanceof PollError)) {
        this.#deliver(outcome, asksToWait ? 0 : now - started);
      } else if (asksToWait && !outcome.retryAfter) {
        // Perhaps a proxy does not let requests wait. A poll will tell whether the server works.
        for (const poller of pollers) poller.rest(0);
      } else if (pollers.size > 1 && !this.#knowsLists && isFromEndpoint(outcome)) {
        // Perhaps the endpoint does not support lists. One that has returned a list does.
        this.#listsSuspendedUntil = now + SUSPENSION;
      } else this.#refuse(pollers, outcome);
    } finally {
      // An error in one widget must not stop the others.
      pollers.clear();
      this.#schedule();
    }
  }

  /**
   * @param {Set<ProgressPoller>} pollers
   * @returns {Promise<Answer>}
   */
  async #read(pollers) {
    const { options } = this;
    const [first] = pollers;
    const isList = pollers.size > 1;
    const url = isList ? listUrl(options, pollers) : first.url;
    // Only if each poller has seen the response with this ETag.
    const { answer } = first;
    const isCurrent = answer?.url === url && [...pollers].every((one) => one.answer === answer);
    const etag = isCurrent && answer.headers.get('ETag');
    // While no job of the channel moves, the request waits for a change: in a visible page, because
    // browsers open only six connections to a server of HTTP/1.1.
    const mayWait =
      etag &&
      [...this.#members].every((one) => one.answer === answer && one.slack === Infinity) &&
      options.clock.now() >= this.#waitingSuspendedUntil &&
      waiting.size < MOST_WAITING &&
      !globalThis.document?.hidden;
    if (mayWait) waiting.add(this);
    const reply = await request(options, url, {
      etag,
      wait: mayWait ? WAIT : 0,
      controller: this.#controller,
    });
    const data =
      reply.status === 304 ? null : parseJson(reply.text, isList ? hasJobs : isRecord);
    this.#knowsLists ||= isList;
    const dataFor = (/** @type {ProgressPoller} */ { jobId }) =>
      data && isList
        ? data.jobs.find((/** @type {any} */ job) => job?.job_id === jobId && isRecord(job))
        : data;
    return { ...reply, url, dataFor };
  }

  /**
   * @param {Answer} answer
   * @param {number} spent
   */
  #deliver(answer, spent) {
    const now = this.options.clock.now();
    // The server is back: pollers that wait for the end of the outage poll at once.
    for (const poller of this.#members) if (poller.due === this.#pausedUntil) poller.due = now;
    this.#pausedUntil = 0;
    for (const poller of this.#asked) {
      const data = answer.dataFor(poller);
      if (data !== undefined) poller.accept(answer, data, spent);
      else this.#refuse([poller], new PollError('not-found', { status: 404 }));
    }
  }

  /**
   * @param {Iterable<ProgressPoller>} pollers
   * @param {PollError} error
   */
  #refuse(pollers, error) {
    // Other failures concern all jobs, or are final for this one.
    const isShared = !['not-found', 'unreadable'].includes(error.kind);
    for (const poller of pollers) {
      poller.backOff(error);
      // The longest pause applies to all, so that they retry together; a new poller does not
      // shorten it.
      if (isShared && poller.due < Infinity)
        this.#pausedUntil = Math.max(this.#pausedUntil, poller.due);
    }
    if (isShared)
      for (const poller of this.#members) poller.due = Math.max(poller.due, this.#pausedUntil);
    for (const poller of pollers) poller.fail(error);
  }
}
