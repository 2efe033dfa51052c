/** @import { ResolvedPollerOptions } from './options.js' */
/** @import { ProgressPoller } from './poller.js' */
/** @import { ProgressData } from './progress-polling.js' */
import { PollError, isOutage } from './errors.js';
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
 * @property {ProgressData | null | undefined} data `null` for 304: nothing has changed; `undefined`: not found
 */

/** @typedef {ReturnType<typeof openChannel>} Channel */

/** The server takes no more in one request. */
const MOST_IDS = 100;

/** @type {Map<string, Channel>} those that are open for others */
const channels = new Map();

/** Endpoints that do not answer for several jobs at once. */
const withoutLists = new Set();

/**
 * The channel for a poller. An address, headers or a `fetch` of its own make it one that nobody else can use.
 *
 * @param {ProgressPoller} poller
 */
export function channelFor({ jobId, options }) {
  const { endpoint, url, headers, fetch, credentials, requestTimeout } = options;
  if (url || headers || fetch !== globalFetch || jobId.includes(',') || withoutLists.has(endpoint)) {
    return openChannel(options);
  }
  // One for each way to ask; they are few, and kept.
  const way = [credentials, requestTimeout, endpoint].join();
  const channel = channels.get(way) ?? openChannel(options);
  channels.set(way, channel);
  return channel;
}

/**
 * The way to a server: one request at a time, for all the jobs whose turn it is, and one pause for all of them when it
 * fails. A job that is alone is asked for by its own address, where an answer may be 304.
 *
 * @param {ResolvedPollerOptions} options
 */
function openChannel(options) {
  const { clock } = options;
  /** @type {Set<ProgressPoller>} */
  const members = new Set();
  /** @type {Set<ProgressPoller>} those the open request asks for; empty while there is none */
  let asked = new Set();
  /** @type {AbortController} of the latest request */
  let controller;
  /** @type {any} */
  let timer;
  /** Whether it has answered for several at once. */
  let knowsLists = false;
  /** Until when a failing server is left alone; 0 when it does not fail. */
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
    // Whoever is due within half an interval comes along, so that bars which were made at different times ask together.
    const turn = Math.max(first.due, started);
    const together = turns.filter(({ due, slack }) => due <= turn + Math.min(slack, first.slack));
    const pollers = (asked = new Set(together.slice(0, MOST_IDS)));
    controller = new AbortController();
    const outcome = await read(pollers).catch((/** @type {PollError} */ error) => error);
    // Everybody has left in the meantime: this answer comes too late to count.
    if (!pollers.size) return;
    try {
      if (!(outcome instanceof PollError)) deliver(outcome, started);
      // A server that is away says so with 502, 503 or 504; one that stumbles over its first list may know the jobs.
      else if (pollers.size > 1 && !knowsLists && (!isOutage(outcome) || [500, 501].includes(outcome.status)))
        disband();
      else refuse(pollers, outcome);
    } finally {
      // Whatever happens to one face, the others go on.
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
    const reply = await exchange(options, url, { etag, controller });
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
    // The server answers again: those that wait for it need wait no longer.
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
      // The most patient one decides for all, so that they come back together; a newcomer brings nothing forward.
      if (outage && poller.due < Infinity) pausedUntil = Math.max(pausedUntil, poller.due);
    }
    if (outage) for (const poller of members) poller.due = Math.max(poller.due, pausedUntil);
    for (const poller of pollers) poller.fail(error);
  }

  /** The endpoint does not answer for several jobs at once: from now on each asks for itself. */
  function disband() {
    withoutLists.add(options.endpoint);
    for (const poller of members) {
      leave(poller);
      poller.refresh();
    }
  }

  /** @param {ProgressPoller} poller whose turn is new */
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
