import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ProgressPoller } from '../../src/poller.js';
import { FakeClock } from '../support/fakes.mjs';

const RUNS = Number(process.env.FAST_CHECK_RUNS ?? 300);
const TYPES = ['start', 'progress', 'complete', 'error', 'cancelled', 'settled', 'retry'];
const ENDINGS = ['complete', 'error', 'cancelled'];

const anyStatus = fc.constantFrom(
  'pending',
  'running',
  'in_progress',
  'completed',
  'failed',
  'cancelled',
  'odd',
  null,
);
const anyRecord = fc.record(
  {
    status: anyStatus,
    version: fc.nat(12),
    processed_items: fc.oneof(fc.nat(100), fc.constant('many')),
    total_items: fc.option(fc.constant(100)),
    poll_after_ms: fc.oneof(fc.nat(4000), fc.constantFrom(null, -1, 'soon')),
  },
  { requiredKeys: ['status'] },
);
const stillRunning = fc.record({ status: fc.constant('running'), version: fc.nat(12) });

/** The possible responses to one request, with a delay. */
const anyAnswer = (record) =>
  fc.record({
    wait: fc.constantFrom(0, 0, 20, 400, 3000),
    what: fc.oneof(
      { weight: 6, arbitrary: fc.record({ body: record }) },
      { weight: 2, arbitrary: fc.constant({ status: 304 }) },
      fc.record({
        status: fc.constantFrom(404, 408, 429, 500, 503),
        retryAfter: fc.option(fc.nat(40)),
      }),
      fc.record({ status: fc.constantFrom(401, 403, 410) }),
      fc.constantFrom({ fails: true }, { hangs: true }, { text: '<html>' }, { text: '[]' }),
    ),
  });

const anyAction = fc.oneof(
  { weight: 5, arbitrary: fc.record({ pass: fc.nat(40_000) }) },
  { weight: 3, arbitrary: fc.record({ pass: fc.nat(600) }) },
  fc.record({
    call: fc.constantFrom(
      ['start'],
      ['stop'],
      ['refresh'],
      ['_hold', 'offline'],
      ['_hold', 'offline', false],
      ['_hold', 'left'],
      ['_hold', 'left', false],
    ),
    who: fc.nat(5),
  }),
  fc.record({ hidden: fc.boolean(), who: fc.nat(5) }),
);

/** Returns the responses of a list, request by request; an aborted request ends at once. */
class Server {
  log = [];
  open = 0;
  mostOpen = 0;

  constructor(clock, answers, later) {
    this.clock = clock;
    this.answers = [...answers];
    this.later = later;
  }

  fetch = async (url, { signal }) => {
    const entry = {
      url,
      at: this.clock.now(),
      done: Infinity,
      ...(this.answers.shift() ?? { wait: 0, what: this.later }),
    };
    this.log.push(entry);
    this.open += 1;
    this.mostOpen = Math.max(this.mostOpen, this.open);
    try {
      await new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        if (!entry.what.hangs) this.clock.setTimeout(resolve, entry.wait);
      });
    } finally {
      this.open -= 1;
      entry.done = this.clock.now();
    }
    return this.#respond(url, entry.what);
  };

  #respond(url, { body, status = 200, retryAfter, fails, text }) {
    if (fails) throw new TypeError('fetch failed');
    const headers = typeof retryAfter === 'number' ? { 'Retry-After': String(retryAfter) } : {};
    if (status !== 200) return new Response(status === 304 ? null : '', { status, headers });
    const ids = new URL(url, 'http://localhost').searchParams.get('ids')?.split(',');
    const jobs = ids?.map((id) => ({ ...body, job_id: id }));
    return new Response(
      text ?? JSON.stringify(jobs ? { count: jobs.length, jobs, next: null } : body),
    );
  }
}

/** Records the events of a poller, and how often it restarts after it has given up. */
function listen(poller) {
  const events = [];
  const told = { poller, events, restarts: 0, givenUp: false };
  poller.addEventListener('settled', () => (told.givenUp = true));
  poller.addEventListener('answer', () => restart(told));
  for (const type of TYPES) {
    poller.addEventListener(type, ({ detail }) => events.push({ type, ...detail }));
  }
  return told;
}

function restart(told) {
  if (told.givenUp) told.restarts += 1;
  told.givenUp = false;
}

async function act({ pass, call, hidden, who }, listeners, clock) {
  if (pass !== undefined) return clock.advance(pass);
  const listener = listeners[who % listeners.length];
  const { poller } = listener;
  if (call?.[0] === 'start' && ['lost', 'idle'].includes(poller._phase)) restart(listener);
  if (call) poller[call[0]](...call.slice(1));
  else poller.hidden = hidden;
  return clock.advance(0);
}

function assertToldTruthfully({ poller, events, restarts }) {
  const count = (type) => events.filter((event) => event.type === type).length;
  const versions = events
    .filter(({ type }) => type === 'progress')
    .map(({ data }) => data.version)
    .filter((version) => version !== undefined);
  assert.deepEqual(
    versions,
    [...versions].sort((one, other) => one - other),
    'no older version is shown',
  );
  assert.ok(count('start') <= 1);
  assert.ok(count('settled') <= 1 + restarts, 'settled once per ending');
  const endings = events.filter(
    ({ type, data }) => ENDINGS.includes(type) && !(data instanceof Error),
  );
  assert.ok(endings.length <= 1, 'a job ends once');
  if (endings.length) {
    assert.deepEqual(
      events.slice(-2).map(({ type }) => type),
      [endings[0].type, 'settled'],
      'no event after the end',
    );
    assert.equal(poller._phase, 'ended');
  }
  events.forEach(({ type, data }, index) => {
    const before = events.slice(0, index).findLast((event) => event.type === 'progress');
    if (type === 'progress' && before) {
      assert.notDeepEqual(data, before.data, 'an unchanged job causes one event');
    }
  });
}

test('with any responses and actions, the events are correct', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyAnswer(anyRecord), { maxLength: 25 }),
      fc.array(anyAction, { maxLength: 25 }),
      async (answers, actions) => {
        const clock = new FakeClock();
        const server = new Server(clock, answers, { body: { status: 'completed', version: 99 } });
        const poller = new ProgressPoller('a job', { clock, fetch: server.fetch });
        const listener = listen(poller);
        poller.start();
        for (const action of actions) await act(action, [listener], clock);
        assert.ok(server.mostOpen <= 1, 'never two requests open');
        assertToldTruthfully(listener);

        poller.destroy();
        const asked = server.log.length;
        const events = listener.events.length;
        await clock.advance(100_000);
        assert.equal(clock.pending, 0);
        assert.deepEqual(
          [server.log.length, listener.events.length],
          [asked, events],
          'nothing after destroy',
        );
      },
    ),
    { numRuns: RUNS },
  );
});

test('with any responses, the pauses are within the rules', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyAnswer(stillRunning), { minLength: 1, maxLength: 30 }),
      fc.constantFrom(0, 0.3, 1),
      async (answers, jitter) => {
        const clock = new FakeClock();
        const server = new Server(clock, answers, { body: { status: 'completed', version: 99 } });
        const options = {
          clock,
          fetch: server.fetch,
          random: () => jitter,
          maxRetries: 99,
          notFoundRetries: 99,
        };
        const poller = new ProgressPoller('a job', options);
        poller.start();
        await clock.advance(2_000_000);
        let failures = 0;
        server.log.slice(0, -1).forEach(({ at, done, what }, index) => {
          const next = server.log[index + 1].at;
          const fine = what.body || what.status === 304;
          failures = fine ? 0 : failures + 1;
          if (fine) {
            const spent = done - at;
            assert.equal(next - at, Math.max(500, spent + Math.min(spent, 30_000)));
          } else {
            const ceiling = Math.min(30_000, 1000 * 2 ** (failures - 1));
            const told = (what.retryAfter ?? 0) * 1000;
            const expected = Math.max(ceiling * (0.5 + jitter / 2), told && told + jitter * 1000);
            assert.ok(
              Math.abs(next - done - expected) < 0.001,
              `${next - done} after failure ${failures}: ${expected}`,
            );
          }
        });
      },
    ),
    { numRuns: RUNS },
  );
});

let endpoints = 0;
test('bars of one endpoint never have two requests open, and all end', async () => {
  const { fetch } = globalThis;
  try {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyAnswer(stillRunning), { maxLength: 25 }),
        fc.array(anyAction, { maxLength: 25 }),
        fc.array(fc.constantFrom(200, 500, 500, 3000), { minLength: 2, maxLength: 5 }),
        async (answers, actions, intervals) => {
          const clock = new FakeClock();
          // After a refused list the bars would send separate requests.
          const kept = answers.filter(
            ({ what }) => what.body || what.fails || what.hangs || what.status === 503,
          );
          const server = new Server(clock, kept, { body: { status: 'completed', version: 99 } });
          globalThis.fetch = server.fetch;
          const endpoint = `/shared-${(endpoints += 1)}`;
          const listeners = intervals.map((pollInterval, index) => {
            const listener = listen(
              new ProgressPoller(`job-${index}`, { clock, endpoint, pollInterval }),
            );
            listener.poller.start();
            return listener;
          });
          for (const action of actions) await act(action, listeners, clock);
          assert.ok(server.mostOpen <= 1, 'never two requests open');

          for (const { poller } of listeners) {
            poller._hold('offline', false);
            poller._hold('left', false);
            poller.start();
          }
          await clock.advance(4_000_000);
          for (const listener of listeners) {
            assertToldTruthfully(listener);
            assert.equal(listener.poller._phase, 'ended');
          }
          assert.equal(clock.pending, 0);
        },
      ),
      { numRuns: RUNS },
    );
  } finally {
    globalThis.fetch = fetch;
  }
});

/** The possible responses to a request that waits, and those to the polls between. */
const anyWait = fc.record({
  after: fc.constantFrom(0, 0, 20, 400, 8000, 25_000, 1e9),
  what: fc.constantFrom('same', 'same', 'changed', 'changed', 'fails', 502, 503, 404, 401),
  confirmed: fc.boolean(),
});

test('with any responses to waiting requests, polls keep their distance', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyWait, { minLength: 1, maxLength: 12 }), async (answers) => {
      const clock = new FakeClock();
      const times = [];
      let version = 1;
      let open = 0;
      let mostOpen = 0;
      const fetch = async (_url, { headers, signal }) => {
        times.push(clock.now());
        mostOpen = Math.max(mostOpen, (open += 1));
        const asksToWait = headers.has('Prefer');
        const { after, what, confirmed } = (asksToWait && answers.shift()) || { what: 'same' };
        await new Promise((resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
          clock.setTimeout(resolve, after ?? 0);
        }).finally(() => (open -= 1));
        if (what === 'fails') throw new TypeError('fetch failed');
        if (what > 0) return new Response('', { status: what });
        if (what === 'changed') version += 1;
        const tag = `"${version}"`;
        const more = { ETag: tag, ...(confirmed && { 'Preference-Applied': 'wait=25' }) };
        const isKnown = headers.get('If-None-Match') === tag;
        if (isKnown) return new Response(null, { status: 304, headers: more });
        const status = answers.length ? 'running' : 'completed';
        return Response.json({ status, version, poll_after_ms: 500 }, { headers: more });
      };
      const poller = new ProgressPoller('a job', { clock, fetch, pollInterval: 5000 });
      const listener = listen(poller);
      poller.start();
      await clock.advance(1_500_000);
      assert.equal(mostOpen, 1, 'never two requests open');
      times.slice(1).forEach((at, index) => assert.ok(at - times[index] >= 5000));
      assertToldTruthfully(listener);
      const told = listener.events.map(({ type }) => type);
      assert.ok(!told.includes('retry') && !told.includes('error'), 'a wait is no outage');
      assert.equal(poller.snapshot.version, version);
      poller.destroy();
      await clock.advance(2e9);
      assert.equal(clock.pending, 0);
    }),
    { numRuns: RUNS },
  );
});
