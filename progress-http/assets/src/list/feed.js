import { ProgressPoller, followPage, isRecord, pollerOptions, request } from './widget.js';

/** @typedef {Record<string, any>} Job the record of a job, not checked */

/**
 * What has changed: jobs that are new, and jobs that have ended.
 *
 * @typedef {{ _added: Job[], _ended: Job[] }} News
 */

/** The most ids that the server accepts in one request. */
const MOST_IDS = 100;

/** So many rows beyond those asked for may gather, until the list is cut to its first page. */
const SLACK = 100;

/** By how many milliseconds the clocks must differ: `Date` has whole seconds, and travels. */
const LEAST_OFFSET = 2000;

/** @param {Job} job */
export const hasEnded = ({ finished }) => finished === true;

/** @param {Job} job */
const idOf = ({ job_id: id }) => id;

/**
 * Orders records as the server does, newest first: by time, then by id.
 *
 * @param {Job} one
 * @param {Job} other
 */
const isNewer = (one, other) =>
  one.created_at === other.created_at
    ? one.job_id > other.job_id
    : one.created_at > other.created_at;

/**
 * Follows a list of jobs. One poller follows the first page, where new jobs appear. Jobs that have
 * not ended and are not on that page share a request by their ids.
 *
 * @typedef {ReturnType<typeof createFeed>} Feed
 */

/**
 * @param {import('../progress-list.js').ProgressListOptions & { endpoint: string }} options
 * @param {number} pageSize
 * @param {Record<string, string>} filter the parameters `active`, `status` and `task_type`
 * @param {(news?: News) => void} onChange called when a record, the list or the connection has
 *   changed
 */
export function createFeed(options, pageSize, filter, onChange) {
  // New jobs are to appear within a second. Jobs far below may be a little late.
  const settings = pollerOptions({ pollInterval: 800, notFoundRetries: 1, ...options });
  /** @type {Map<string, Job>} */
  const jobs = new Map();
  /** @type {Set<string>} the jobs that stay when the list is cut */
  const pinned = new Set();
  /** @type {ProgressPoller[]} one for each hundred jobs that are followed by their ids */
  const pollers = [];
  const life = new AbortController();
  /** The ids on the first page. */
  let first = new Set();
  /** How many rows the user has asked for. */
  let wanted = pageSize;
  /** How far the server's clock is ahead, in milliseconds. */
  let offset = 0;
  /** @type {string | null | undefined} the cursor of the next page; undefined before the first */
  let next;

  /** @param {Record<string, any>} parameters */
  const address = (parameters) =>
    `${settings.endpoint.replace(/\/+$/, '')}/?${new URLSearchParams(parameters)}`;

  /**
   * Requests a page for a poller, which expects a record: the page gets a status. It also gets its
   * address, because that of the poller may have changed when the response arrives.
   *
   * @type {typeof fetch}
   */
  const fetchPage = async (input, init) => {
    const response = await settings.fetch(input, init);
    const { headers, redirected, status, url } = response;
    const ahead = Date.parse(headers.get('Date') ?? '') - Date.now();
    offset = Math.abs(ahead) > LEAST_OFFSET ? ahead : 0;
    const start = JSON.stringify({ status: '', _asked: input }).replace('}', ',');
    const text = async () => (await response.text()).replace(/^{(?=.*?"jobs":\[)/, () => start);
    return /** @type {any} */ ({ headers, redirected, status, url, text });
  };

  /**
   * @param {string} url
   * @param {number} interval
   * @param {(page: any) => void} accept
   */
  const follow = (url, interval, accept) => {
    const poller = new ProgressPoller('', {
      ...settings,
      url,
      pollInterval: interval,
      fetch: fetchPage,
    });
    poller.addEventListener('progress', (/** @type {any} */ { detail: { data } }) =>
      accept({ ...data, jobs: data.jobs.filter(isJob) }),
    );
    poller.addEventListener('connection', () => onChange());
    life.signal.addEventListener('abort', () => poller.destroy());
    poller.start();
    followPage(poller, 'slow', life.signal);
    return poller;
  };

  /** @param {any} job */
  const isJob = (job) => job?.job_id && isRecord(job);

  /**
   * @param {Job[]} found
   * @returns {News}
   */
  const add = (found) => {
    /** @type {News} */
    const news = { _added: [], _ended: [] };
    for (const job of found) {
      const known = jobs.get(idOf(job));
      // Of two answers the older one may come last. A record made anew begins at a lower version.
      if (known?.created_at === job.created_at && known?.version > job.version) continue;
      if (!known) news._added.push(job);
      else if (!hasEnded(known) && hasEnded(job)) news._ended.push(job);
      jobs.set(idOf(job), job);
    }
    return news;
  };

  /**
   * Whether the filter selects a record.
   *
   * @param {Job} job
   */
  const matches = (job) =>
    !(filter.active && hasEnded(job)) &&
    (filter.status ?? job.status) === job.status &&
    (filter.task_type ?? job.task_type) === job.task_type;

  /** @param {{ jobs: Job[], next: string | null }} page */
  const acceptFirst = (page) => {
    const oldest = page.next && page.jobs.at(-1);
    const isContinuous = page.jobs.some((job) => jobs.has(idOf(job)));
    const news = add(page.jobs);
    first = new Set(page.jobs.map(idOf));
    // Between the first page and the rows below it other jobs may be missing.
    const isCut = (oldest && !isContinuous) || jobs.size > wanted + SLACK;
    for (const [id, job] of jobs) {
      // A job that the page should contain was deleted. If it has not ended, its id will tell.
      const isDeleted =
        (!oldest || isNewer(job, oldest)) && hasEnded(job) && matches(job) && !first.has(id);
      if (isDeleted || (isCut && !first.has(id) && !pinned.has(id))) jobs.delete(id);
    }
    if (isCut || !page.next || next === undefined) {
      // Nothing is new at first.
      if (next === undefined) news._added = [];
      next = page.next;
    }
    changed(news);
  };

  /** @param {{ _asked: string, jobs: Job[] }} page */
  const acceptOthers = ({ _asked: asked, jobs: found }) => {
    const ids = decodeURIComponent(asked).split('ids=')[1].split(',');
    // Jobs that the list has lost meanwhile do not come back.
    const news = add(found.filter((job) => jobs.has(idOf(job))));
    for (const id of ids) if (!found.some((job) => idOf(job) === id)) jobs.delete(id);
    changed(news);
  };

  /**
   * Follows the jobs that have not ended and are not on the first page.
   *
   * @param {News} [news]
   */
  const changed = (news) => {
    const ids = [...jobs.values()].filter((job) => !hasEnded(job)).map(idOf);
    const others = ids.filter((id) => !first.has(id)).sort();
    for (let turn = 0; others.length || pollers[turn]; turn += 1) {
      const some = others.splice(0, MOST_IDS);
      const url = address({ ids: some });
      if (!some.length) pollers[turn].stop();
      else if (!pollers[turn])
        pollers[turn] = follow(url, settings.pollInterval * 2, acceptOthers);
      else if (pollers[turn].url !== url) {
        pollers[turn].url = url;
        pollers[turn].start();
      }
    }
    onChange(news);
  };

  /** Reads the next page. */
  const more = async () => {
    const parameters = { ...filter, limit: pageSize, cursor: next };
    const { text } = await request(settings, address(parameters));
    const page = JSON.parse(text);
    add(page.jobs.filter(isJob));
    wanted += pageSize;
    next = page.next;
    changed();
  };

  const head = follow(
    address({ ...filter, limit: pageSize }),
    settings.pollInterval,
    acceptFirst,
  );

  return {
    _head: head,
    _settings: settings,
    _pinned: pinned,
    _more: more,
    /** @param {Job} job */
    _put: (job) => changed(add([job])),
    /** @param {string} id */
    _remove: (id) => {
      jobs.delete(id);
      changed();
    },
    /** The records, newest first. */
    _jobs: () => [...jobs.values()].sort((one, other) => (isNewer(one, other) ? -1 : 1)),
    /** The present time on the server's clock, in milliseconds. */
    _now: () => Date.now() + offset,
    /** The cursor of the next page; `null` on the last one, undefined before the first. */
    _next: () => next,
    _stop: () => life.abort(),
  };
}
