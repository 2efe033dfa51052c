/** @import { ResolvedPollerOptions } from './options.js' */
/** @import { ProgressPoller } from './poller.js' */
/** @import { ProgressData } from './progress-polling.js' */
import { PollError, concernsAllJobs } from './errors.js';
import { isRecord, parseJson } from './record.js';
import { request } from './request.js';
import { listUrl } from './urls.js';

/**
 * The server's response for one job.
 *
 * @typedef {object} Answer
 * @property {number} status 200, 202, 304 …
 * @property {string | null} etag
 * @property {string} url for which the ETag is valid
 * @property {ProgressData | null | undefined} data `null` for 304 (unchanged); `undefined`: not
 *   found
 */

/** The most ids that the server accepts in one request. */
const MOST_IDS = 100;

/** How long an endpoint that failed to return a list gets no other, in milliseconds; doubles. */
const SUSPENSION = 10_000;

/** The longest such time. */
const LONGEST_SUSPENSION = 600_000;

/** Statuses of a failed list after which a request for a single job would fail as well. */
const CONCERN_ANY_REQUEST = [0, 401, 408, 425, 429, 502, 503, 504];

/** @type {Set<Channel>} the channels that pollers may share */
const channels = new Set();

/** The options in which the pollers of a channel agree, besides the headers. */
const SETTINGS = /** @type {const} */ ([
  'endpoint',
  'credentials',
  'requestTimeout',
  'fetch',
  'clock',
]);

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
  const fits = (/** @type {Channel} */ { options: given }) =>
    SETTINGS.every((name) => given[name] === options[name]) &&
    comparable(given.headers) === comparable(options.headers);
  const channel = [...channels].find(fits) ?? new Channel(options);
  channels.add(channel);
  return channel;
}

/**
 * A channel to a server: one request at a time for all jobs that are due, and one pause for all of
 * them after a failure. A single job is requested by its own URL.
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
  #suspension = SUSPENSION;
  /** When the pause after an outage ends; 0 without an outage. */
  #pausedUntil = 0;

  /** @param {ResolvedPollerOptions} options of the first poller */
  constructor(options) {
    this.options = options;
  }

  /** @param {ProgressPoller} poller whose `due` has changed */
  enlist(poller) {
    this.#members.add(poller);
    this.#schedule();
  }

  /** @param {ProgressPoller} poller */
  leave(poller) {
    poller.channel = null;
    this.#members.delete(poller);
    if (this.#asked.delete(poller) && !this.#asked.size) this.#controller?.abort();
    if (!this.#members.size) channels.delete(this);
    this.#schedule();
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
    const started = this.options.clock.now();
    const pollers = (this.#asked = new Set(this.#chooseTurn()));
    this.#controller = new AbortController();
    const outcome = await this.#read(pollers).catch((/** @type {PollError} */ error) => error);
    // All pollers of this request have left: drop the response.
    if (!pollers.size) return;
    try {
      if (!(outcome instanceof PollError)) this.#deliver(outcome, started);
      else if (pollers.size > 1 && this.#mayConcernOnlyLists(outcome)) this.#suspendLists();
      else this.#refuse(pollers, outcome);
    } finally {
      // An error in one widget must not stop the others.
      pollers.clear();
      this.#schedule();
    }
  }

  /**
   * @param {Set<ProgressPoller>} pollers
   * @returns {Promise<(poller: ProgressPoller) => Answer>}
   */
  async #read(pollers) {
    const [first] = pollers;
    const alone = pollers.size === 1;
    const url = alone ? first.url : listUrl(this.options, pollers);
    // Only if each poller has seen the response with this ETag.
    const isCurrent = [...pollers].every((one) => one.etagUrl === url && one.etag === first.etag);
    const etag = isCurrent ? first.etag : null;
    const reply = await request(this.options, url, { etag, controller: this.#controller });
    const answer = { ...reply, url };
    if (reply.status === 304) return () => ({ ...answer, data: null });
    if (alone) {
      const data = parseJson(reply.text, isRecord);
      return () => ({ ...answer, data });
    }
    const { jobs } = parseJson(reply.text, (data) => Array.isArray(data.jobs));
    this.#knowsLists = true;
    this.#suspension = SUSPENSION;
    return ({ jobId }) => ({
      ...answer,
      data: jobs.find((/** @type {any} */ job) => job?.job_id === jobId && isRecord(job)),
    });
  }

  /**
   * @param {(poller: ProgressPoller) => Answer} answerFor
   * @param {number} started
   */
  #deliver(answerFor, started) {
    const now = this.options.clock.now();
    // The server is back: pollers that wait for the end of the outage poll at once.
    for (const poller of this.#members) if (poller.due === this.#pausedUntil) poller.due = now;
    this.#pausedUntil = 0;
    for (const poller of this.#asked) {
      const answer = answerFor(poller);
      if (answer.data !== undefined) poller.accept(answer, now - started);
      else this.#refuse([poller], new PollError('not-found', { status: 404 }));
    }
  }

  /**
   * @param {Iterable<ProgressPoller>} pollers
   * @param {PollError} error
   */
  #refuse(pollers, error) {
    const jitter = this.options.random();
    const isShared = concernsAllJobs(error);
    for (const poller of pollers) {
      poller.backOff(error, jitter);
      // The longest pause applies to all, so that they retry together; a new poller does not
      // shorten it.
      if (isShared && poller.due < Infinity)
        this.#pausedUntil = Math.max(this.#pausedUntil, poller.due);
    }
    if (isShared)
      for (const poller of this.#members) poller.due = Math.max(poller.due, this.#pausedUntil);
    for (const poller of pollers) poller.fail(error);
  }

  /**
   * An endpoint that has returned a list before is in trouble now. Another may not support lists.
   *
   * @param {PollError} error
   */
  #mayConcernOnlyLists({ status }) {
    return !this.#knowsLists && !CONCERN_ANY_REQUEST.includes(status);
  }

  /** Requests each job by its own URL for a while, and then tries a list again. */
  #suspendLists() {
    this.#listsSuspendedUntil = this.options.clock.now() + this.#suspension;
    this.#suspension = Math.min(this.#suspension * 2, LONGEST_SUSPENSION);
  }
}
