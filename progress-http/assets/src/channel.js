/** @import { ResolvedPollerOptions } from './options.js' */
/** @import { ProgressPoller } from './poller.js' */
/** @import { Reply } from './request.js' */
import { PollError } from './errors.js';
import { hasJobs, isRecord, parseJson } from './record.js';
import { request } from './request.js';
import { listUrl } from './urls.js';

/**
 * The server's response for one or several jobs. `_dataFor` returns the record of a job: `null` for
 * 304 (unchanged), `undefined` if it was not found.
 *
 * @typedef {Reply & { url: string, _dataFor: (poller: ProgressPoller) => any }} Answer
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
  if (options.url || jobId.includes(',')) return createChannel(options);
  const settings = /** @type {const} */ (['endpoint', 'credentials', 'requestTimeout', 'fetch']);
  const fits = (/** @type {Channel} */ { options: given }) =>
    settings.every((name) => given[name] === options[name]) &&
    comparable(given.headers) === comparable(options.headers);
  const channel = [...channels].find(fits) ?? createChannel(options);
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
 *
 * @typedef {ReturnType<typeof createChannel>} Channel
 */

/** @param {ResolvedPollerOptions} options of the first poller */
function createChannel(options) {
  const { clock } = options;
  /** @type {Set<ProgressPoller>} */
  const members = new Set();
  /** @type {Set<ProgressPoller>} the pollers in the open request; empty while there is none */
  let asked = new Set();
  /** @type {AbortController | undefined} of the latest request */
  let controller;
  /** @type {any} */
  let timer;
  /** Whether the endpoint has returned a list before. */
  let knowsLists = false;
  /** Until when each job is requested by its own URL, because a list has failed. */
  let listsSuspendedUntil = 0;
  /** Until when no request waits, because one has failed, or was not confirmed. */
  let waitingSuspendedUntil = 0;
  /** When the pause after an outage ends; 0 without an outage. */
  let pausedUntil = 0;

  /** @param {ProgressPoller} poller whose `_due` has changed */
  const enlist = (poller) => {
    members.add(poller);
    // A request that waits is for all members: they share the request that replaces it.
    if (waiting.has(channel)) drop();
    schedule();
  };

  /** @param {ProgressPoller} poller */
  const leave = (poller) => {
    poller._channel = null;
    members.delete(poller);
    if (asked.delete(poller) && !asked.size) drop();
    if (!members.size) channels.delete(channel);
    schedule();
  };

  /** Aborts the open request. */
  const drop = () => {
    waiting.delete(channel);
    asked.clear();
    controller?.abort();
  };

  const inOrder = () => [...members].sort((one, other) => one._due - other._due);

  const schedule = () => {
    clock.clearTimeout(timer);
    const [next] = inOrder();
    if (!next || asked.size) return;
    timer = clock.setTimeout(ask, Math.max(next._due - clock.now(), 0));
  };

  /** Returns the pollers of the next request. */
  const chooseTurn = () => {
    const now = clock.now();
    const inTurn = inOrder();
    const [first] = inTurn;
    if (now < listsSuspendedUntil) return [first];
    // Pollers due within half an interval join the request, so that bars that were created at
    // different times share one.
    const turn = Math.max(first._due, now);
    const together = inTurn.filter((one) => one._due <= turn + Math.min(one._slack, first._slack));
    return together.slice(0, MOST_IDS);
  };

  const ask = async () => {
    for (const poller of members) poller._onEvent('turn');
    if (!members.size) return;
    const started = clock.now();
    const pollers = (asked = new Set(chooseTurn()));
    controller = new AbortController();
    const outcome = await read(pollers).catch((/** @type {PollError} */ error) => error);
    // All pollers of this request have left: drop the response.
    if (!pollers.size) return;
    const now = clock.now();
    const asksToWait = waiting.delete(channel);
    if (asksToWait && !(/** @type {any} */ (outcome).headers?.has('Preference-Applied')))
      waitingSuspendedUntil = now + SUSPENSION;
    try {
      if (!(outcome instanceof PollError)) {
        deliver(outcome, asksToWait ? 0 : now - started);
      } else if (asksToWait && !outcome._retryAfter) {
        // Perhaps a proxy does not let requests wait. A poll will tell whether the server works.
        for (const poller of pollers) poller._rest(0);
      } else if (pollers.size > 1 && !knowsLists && isFromEndpoint(outcome)) {
        // Perhaps the endpoint does not support lists. One that has returned a list does.
        listsSuspendedUntil = now + SUSPENSION;
      } else refuse(pollers, outcome);
    } finally {
      // An error in one widget must not stop the others.
      pollers.clear();
      schedule();
    }
  };

  /**
   * @param {Set<ProgressPoller>} pollers
   * @returns {Promise<Answer>}
   */
  const read = async (pollers) => {
    const [first] = pollers;
    const isList = pollers.size > 1;
    const url = isList ? listUrl(options, pollers) : first.url;
    // Only if each poller has seen the response with this ETag.
    const { _answer: answer } = first;
    const isCurrent = answer?.url === url && [...pollers].every((one) => one._answer === answer);
    const etag = isCurrent && answer.headers.get('ETag');
    // While no job of the channel moves, the request waits for a change: in a visible page, because
    // browsers open only six connections to a server of HTTP/1.1.
    const mayWait =
      etag &&
      [...members].every((one) => one._answer === answer && one._slack === Infinity) &&
      clock.now() >= waitingSuspendedUntil &&
      waiting.size < MOST_WAITING &&
      !globalThis.document?.hidden;
    if (mayWait) waiting.add(channel);
    const reply = await request(options, url, { etag, wait: mayWait ? WAIT : 0, controller });
    const data =
      reply.status === 304 ? null : parseJson(reply.text, isList ? hasJobs : isRecord);
    knowsLists ||= isList;
    const dataFor = (/** @type {ProgressPoller} */ { jobId }) =>
      data && isList
        ? data.jobs.find((/** @type {any} */ job) => job?.job_id === jobId && isRecord(job))
        : data;
    return { ...reply, url, _dataFor: dataFor };
  };

  /**
   * @param {Answer} answer
   * @param {number} spent
   */
  const deliver = (answer, spent) => {
    const now = clock.now();
    // The server is back: pollers that wait for the end of the outage poll at once.
    for (const poller of members) if (poller._due === pausedUntil) poller._due = now;
    pausedUntil = 0;
    for (const poller of asked) {
      const data = answer._dataFor(poller);
      if (data !== undefined) poller._accept(answer, data, spent);
      else refuse([poller], new PollError('not-found', { status: 404 }));
    }
  };

  /**
   * @param {Iterable<ProgressPoller>} pollers
   * @param {PollError} error
   */
  const refuse = (pollers, error) => {
    // Other failures concern all jobs, or are final for this one.
    const isShared = !['not-found', 'unreadable'].includes(error.kind);
    for (const poller of pollers) {
      poller._backOff(error);
      // The longest pause applies to all, so that they retry together; a new poller does not
      // shorten it.
      if (isShared && poller._due < Infinity) pausedUntil = Math.max(pausedUntil, poller._due);
    }
    if (isShared)
      for (const poller of members) poller._due = Math.max(poller._due, pausedUntil);
    for (const poller of pollers) poller._fail(error);
  };

  const channel = { options, _enlist: enlist, _leave: leave };
  return channel;
}
