/** @import { ResolvedPollerOptions } from './options.js' */
/** @import { ProgressPoller } from './poller.js' */
/** @import { ProgressData } from './progress-polling.js' */
import { PollError, isOutage } from './errors.js';
import { globalFetch } from './options.js';
import { parseData } from './record.js';
import { request } from './request.js';
import { listUrl } from './urls.js';

/**
 * The server's response for one job.
 *
 * @typedef {object} Answer
 * @property {number} status 200, 202, 304 …
 * @property {string | null} etag
 * @property {ProgressData | null | undefined} data `null` for 304 (unchanged); `undefined`: not
 *   found
 */

/** @typedef {ReturnType<typeof openChannel>} Channel */

/** The most ids that the server accepts in one request. */
const MOST_IDS = 100;

/** @type {Map<string, Channel>} shared channels, by endpoint and request settings */
const channels = new Map();

/** Endpoints that do not support lists. */
const withoutLists = new Set();

/**
 * Returns the channel for a poller. A poller with a `url`, `headers` or `fetch` of its own gets a
 * private channel.
 *
 * @param {ProgressPoller} poller
 */
export function channelFor({ jobId, options }) {
  const { endpoint, url, headers, fetch, credentials, requestTimeout } = options;
  if (
    url ||
    headers ||
    fetch !== globalFetch ||
    jobId.includes(',') ||
    withoutLists.has(endpoint)
  ) {
    return openChannel(options);
  }
  // One channel per combination of settings. There are few, so they are never removed.
  const way = [credentials, requestTimeout, endpoint].join();
  const channel = channels.get(way) ?? openChannel(options);
  channels.set(way, channel);
  return channel;
}

/**
 * Opens a channel to a server: one request at a time for all jobs that are due, and one pause for
 * all of them after a failure. A single job is requested by its own URL, so that the response can
 * be 304.
 *
 * @param {ResolvedPollerOptions} options
 */
function openChannel(options) {
  const { clock } = options;
  /** @type {Set<ProgressPoller>} */
  const members = new Set();
  /** @type {Set<ProgressPoller>} the pollers in the open request; empty while there is none */
  let asked = new Set();
  /** @type {AbortController} of the latest request */
  let controller;
  /** @type {any} */
  let timer;
  /** Whether the endpoint has returned a list before. */
  let knowsLists = false;
  /** When the pause after an outage ends; 0 without an outage. */
  let pausedUntil = 0;

  const inOrder = () => [...members].sort((one, other) => one.due - other.due);

  function schedule() {
    clock.clearTimeout(timer);
    const [next] = inOrder();
    if (next && !asked.size) timer = clock.setTimeout(ask, Math.max(next.due - clock.now(), 0));
  }

  async function ask() {
    const started = clock.now();
    const turns = inOrder();
    const [first] = turns;
    // Pollers due within half an interval join the request, so that bars that were created at
    // different times share one.
    const turn = Math.max(first.due, started);
    const together = turns.filter(({ due, slack }) => due <= turn + Math.min(slack, first.slack));
    const pollers = (asked = new Set(together.slice(0, MOST_IDS)));
    controller = new AbortController();
    const outcome = await read(pollers).catch((/** @type {PollError} */ error) => error);
    // All pollers of this request have left: drop the response.
    if (!pollers.size) return;
    try {
      if (!(outcome instanceof PollError)) deliver(outcome, started);
      // 502, 503 or 504 means an outage. 500 for the first list may mean that only lists fail.
      else if (
        pollers.size > 1 &&
        !knowsLists &&
        (!isOutage(outcome) || [500, 501].includes(outcome.status))
      )
        disband();
      else refuse(pollers, outcome);
    } finally {
      // An error in one widget must not stop the others.
      pollers.clear();
      schedule();
    }
  }

  /**
   * @param {Set<ProgressPoller>} pollers
   * @returns {Promise<(poller: ProgressPoller) => Answer>}
   */
  async function read(pollers) {
    const [first] = pollers;
    const alone = pollers.size === 1;
    const { url, etag } = alone ? first : { url: listUrl(options, pollers), etag: null };
    const reply = await request(options, url, { etag, controller });
    const data = reply.status === 304 ? null : parseData(reply.text);
    if (alone) return () => ({ ...reply, data });
    if (!Array.isArray(data?.jobs)) throw new PollError('unreadable', { status: reply.status });
    knowsLists = true;
    return ({ jobId }) => ({
      ...reply,
      etag: null,
      data: data.jobs.find((/** @type {any} */ job) => job?.job_id === jobId),
    });
  }

  /**
   * @param {(poller: ProgressPoller) => Answer} answerFor
   * @param {number} started
   */
  function deliver(answerFor, started) {
    const now = clock.now();
    // The server is back: pollers that wait for the end of the outage poll at once.
    for (const poller of members) if (poller.due === pausedUntil) poller.due = now;
    pausedUntil = 0;
    for (const poller of asked) {
      const answer = answerFor(poller);
      if (answer.data === undefined) refuse([poller], new PollError('not-found', { status: 404 }));
      else poller.accept(answer, now - started);
    }
  }

  /**
   * @param {Iterable<ProgressPoller>} pollers
   * @param {PollError} error
   */
  function refuse(pollers, error) {
    const jitter = options.random();
    const outage = isOutage(error);
    for (const poller of pollers) {
      poller.backOff(error, jitter);
      // The longest pause applies to all, so that they retry together; a new poller does not
      // shorten it.
      if (outage && poller.due < Infinity) pausedUntil = Math.max(pausedUntil, poller.due);
    }
    if (outage) for (const poller of members) poller.due = Math.max(poller.due, pausedUntil);
    for (const poller of pollers) poller.fail(error);
  }

  /** Marks the endpoint as not supporting lists; each poller continues with its own requests. */
  function disband() {
    withoutLists.add(options.endpoint);
    for (const poller of members) {
      leave(poller);
      poller.refresh();
    }
  }

  /** @param {ProgressPoller} poller whose `due` has changed */
  function enlist(poller) {
    members.add(poller);
    schedule();
  }

  /** @param {ProgressPoller} poller */
  function leave(poller) {
    poller.channel = null;
    members.delete(poller);
    if (asked.delete(poller) && !asked.size) controller.abort();
    schedule();
  }

  return { enlist, leave };
}
