/** A clock that only a test advances. */
export class FakeClock {
  #now = 0;
  #timers = new Map();
  #next = 1;

  now = () => this.#now;
  setTimeout = (callback, delay) => {
    this.#timers.set(this.#next, { callback, at: this.#now + delay });
    return this.#next++;
  };
  clearTimeout = (timer) => this.#timers.delete(timer);

  get pending() {
    return this.#timers.size;
  }

  /** Runs the timers of the next milliseconds in order, including those that they set. */
  async advance(milliseconds) {
    const end = this.#now + milliseconds;
    await settle();
    for (;;) {
      const due = [...this.#timers]
        .filter(([, timer]) => timer.at <= end)
        .sort(([, one], [, other]) => one.at - other.at)[0];
      if (!due) break;
      const [id, { callback, at }] = due;
      this.#timers.delete(id);
      this.#now = Math.max(at, this.#now);
      callback();
      await settle();
    }
    this.#now = end;
  }
}

/** Waits until all promises that can settle have settled. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

/**
 * A server that returns the responses of a list in order, and repeats the last one. A response is
 * a status with a body and headers, or an error to throw, after an optional `wait`.
 */
export class FakeServer {
  requests = [];
  open = 0;
  mostOpen = 0;

  constructor(clock, answers) {
    this.clock = clock;
    this.answers = answers;
  }

  fetch = async (url, init) => {
    const request = {
      url,
      ...init,
      headers: Object.fromEntries(init.headers),
      at: this.clock.now(),
    };
    this.requests.push(request);
    const { wait = 0, ...answer } =
      this.answers.length > 1 ? this.answers.shift() : this.answers[0];
    this.open += 1;
    this.mostOpen = Math.max(this.mostOpen, this.open);
    if (wait) await new Promise((resolve) => this.clock.setTimeout(resolve, wait));
    this.open -= 1;
    if (answer.error) throw answer.error;
    const { status = 200, headers = {}, text = JSON.stringify(answer.body) } = answer;
    return new Response(status === 304 ? null : text, { status, headers });
  };

  get times() {
    return this.requests.map(({ at }) => at);
  }

  /** The milliseconds from each request to the next. */
  get gaps() {
    return this.times.slice(1).map((at, index) => at - this.times[index]);
  }
}

/** A running record of some version. */
export const running = (version, more = {}) => ({
  status: 'running',
  total_items: 100,
  processed_items: version,
  version,
  ...more,
});

const tagOf = ({ version, stale }) => `${version}${stale ? '-stale' : ''}`;

/**
 * An endpoint with several jobs for the global `fetch`: one by its URL, with an ETag, or several by
 * `?ids=`. While `trouble` is set, it answers all requests.
 */
export class FakeEndpoint {
  requests = [];
  jobs = new Map();
  wait = 0;
  lists = true;
  /** Whether a request with `Prefer: wait` is answered when a record changes. */
  waits = true;
  trouble = null;
  open = 0;
  mostOpen = 0;

  constructor(clock) {
    this.clock = clock;
  }

  fetch = async (url, { headers, signal }) => {
    const tag = headers.get('If-None-Match');
    const wait = Number(/^wait=(\d+)$/.exec(headers.get('Prefer'))?.[1] ?? 0);
    this.requests.push({ url, at: this.clock.now(), tag, wait, signal });
    this.open += 1;
    this.mostOpen = Math.max(this.mostOpen, this.open);
    if (this.wait) await new Promise((resolve) => this.clock.setTimeout(resolve, this.wait));
    const until = this.clock.now() + wait * 1000;
    const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
    while (this.waits && wait && !signal.aborted && this.clock.now() < until) {
      if (this.trouble || this.#answer(url, tag).status !== 304) break;
      const tick = new Promise((resolve) => this.clock.setTimeout(resolve, 100));
      await Promise.race([tick, aborted]);
    }
    this.open -= 1;
    const response = this.trouble?.() ?? this.#answer(url, tag);
    if (this.waits && wait) response.headers.set('Preference-Applied', `wait=${wait}`);
    return response;
  };

  #answer(url, given) {
    const { pathname, searchParams } = new URL(url, 'http://localhost');
    const ids = searchParams.get('ids')?.split(',');
    if (ids && !this.lists) return new Response('', { status: 404 });
    if (ids) {
      const jobs = [...this.jobs.values()].filter(({ job_id: id }) => ids.includes(id));
      const tag = `"${jobs.map(tagOf)}"`;
      if (given === tag) return new Response(null, { status: 304 });
      return Response.json({ count: jobs.length, jobs, next: null }, { headers: { ETag: tag } });
    }
    const job = this.jobs.get(decodeURIComponent(pathname.split('/').at(-1)));
    if (!job) return new Response('', { status: 404 });
    const current = `"${tagOf(job)}"`;
    if (given === current) return new Response(null, { status: 304 });
    return Response.json(job, { headers: { ETag: current } });
  }

  get asked() {
    return this.requests.map(({ url, at }) => `${at} ${url}`);
  }
}
