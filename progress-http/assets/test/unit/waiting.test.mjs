import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { ProgressPoller } from '../../src/poller.js';
import { FakeClock, FakeEndpoint, running } from '../support/fakes.mjs';

const MINUTE = 60_000;
let clock, server, pollers, events;

beforeEach(() => {
  clock = new FakeClock();
  server = new FakeEndpoint(clock);
  pollers = [];
  events = [];
});
afterEach(async () => {
  delete globalThis.document;
  for (const poller of pollers) poller.destroy();
  await clock.advance(2 * MINUTE); // lets the timers of the fake endpoint fire
  assert.equal(clock.pending, 0);
});

function follow(jobId, options = {}) {
  const poller = new ProgressPoller(jobId, {
    clock,
    endpoint: '/jobs',
    fetch: server.fetch,
    random: () => 1,
    ...options,
  });
  for (const type of ['start', 'progress', 'complete', 'error', 'retry', 'signedout']) {
    poller.addEventListener(type, ({ detail }) =>
      events.push(`${clock.now()} ${jobId} ${type} ${detail.data.version ?? detail.data.kind}`),
    );
  }
  pollers.push(poller);
  poller.start();
  return poller;
}

const set = (jobId, version, more = {}) =>
  server.jobs.set(jobId, running(version, { job_id: jobId, poll_after_ms: 500, ...more }));
const told = (type) => events.filter((event) => event.includes(` ${type} `));
const waits = () => server.requests.filter(({ wait }) => wait);
/** The number of requests in these milliseconds. */
const between = (from, to) => server.requests.filter(({ at }) => at >= from && at < to).length;
const isWaiting = () => server.open > 0 && server.requests.at(-1).wait > 0;

function assertSpacing(least = 500) {
  const times = server.requests.map(({ at }) => at);
  times.slice(1).forEach((at, index) => {
    assert.ok(at - times[index] >= least, `${at - times[index]} ms between two requests`);
  });
}

/** A job that is pending for ten minutes and then runs for two, with an item every second. */
async function pendingThenRunning() {
  set('a', 1, { status: 'pending' });
  follow('a');
  await clock.advance(10 * MINUTE);
  for (let item = 1; item <= 120; item += 1) {
    set('a', 1 + item);
    await clock.advance(1000);
  }
  set('a', 122, { status: 'completed' });
  await clock.advance(500);
}

for (const [name, supported, [pending, active]] of [
  ['waits', true, [28, 245]],
  ['cannot wait', false, [1201, 245]],
]) {
  test(`ten minutes pending, two minutes running, server that ${name}`, async (context) => {
    server.waits = supported;
    await pendingThenRunning();
    const counts = [between(0, 10 * MINUTE), between(10 * MINUTE, Infinity)];
    context.diagnostic(`requests while pending and while running: ${counts.join(', ')}`);
    assert.ok(counts[0] <= pending && counts[1] <= active, counts.join());
    assert.equal(told('progress').length, 122, 'each change is shown');
    assert.match(told('complete')[0], /^720\d\d\d a complete 122$/);
    assertSpacing();
  });
}

test('a change is shown at once, and then the job is polled at its interval', async () => {
  set('a', 1);
  follow('a');
  await clock.advance(10_000);
  assert.ok(isWaiting());
  const { length } = server.requests;
  set('a', 2);
  await clock.advance(2200);
  assert.equal(events.at(-1), '10100 a progress 2');
  assert.deepEqual(
    server.requests.slice(length).map(({ at, wait }) => [at, wait]),
    [
      [10_600, 0],
      [11_100, 0],
      [11_600, 0],
      [12_100, 25],
    ],
  );
});

test('many changes per second cause no more requests than polling', async () => {
  set('a', 1);
  follow('a');
  await clock.advance(30_000);
  const { length } = server.requests;
  for (let version = 2; version < 200; version += 1) {
    set('a', version);
    await clock.advance(50);
  }
  assert.ok(server.requests.length - length <= 21);
  assert.ok(server.requests.slice(length + 1).every(({ wait }) => !wait));
  assertSpacing();
});

test('a record that becomes stale while the request waits is shown', async () => {
  set('a', 1);
  const poller = follow('a');
  await clock.advance(15_000);
  set('a', 1, { stale: true });
  await clock.advance(200);
  assert.equal(poller.snapshot.stale, true);
});

test('several jobs share one request that waits for any of them', async () => {
  for (const id of ['a', 'b', 'c']) set(id, 1);
  follow('a');
  follow('b', { pollInterval: 2000 });
  await clock.advance(300);
  follow('c');
  await clock.advance(10 * MINUTE);
  assert.ok(server.requests.length <= 45, `${server.requests.length} requests`);
  assert.equal(server.mostOpen, 1);
  const started = clock.now();
  set('b', 2);
  await clock.advance(150);
  assert.match(events.at(-1), /b progress 2$/);
  assert.equal(between(started, Infinity), 0);
});

test('while one of several jobs moves, no request waits', async () => {
  set('a', 1);
  set('b', 1);
  follow('a');
  follow('b');
  for (let version = 2; version < 60; version += 1) {
    set('b', version);
    await clock.advance(500);
  }
  assert.equal(waits().length, 0);
  assertSpacing();
});

test('more than a hundred jobs are polled', async () => {
  for (let index = 0; index <= 100; index += 1) {
    set(`job-${index}`, 1);
    follow(`job-${index}`);
  }
  await clock.advance(20_000);
  assert.equal(waits().length, 0);
});

for (const [name, act] of [
  ['a new bar', () => (set('b', 1), follow('b'))],
  ['refresh', (poller) => poller.refresh()],
  ['start', (poller) => poller.start()],
  ['stop', (poller) => poller.stop()],
  ['pagehide', (poller) => poller._hold('left')],
  ['destroy', (poller) => poller.destroy()],
]) {
  test(`${name} ends the request that waits`, async () => {
    set('a', 1);
    const poller = follow('a');
    await clock.advance(10_000);
    assert.ok(isWaiting());
    const { length } = server.requests;
    act(poller);
    await clock.advance(0);
    assert.equal(server.requests[length - 1].signal.aborted, true);
    assert.equal(server.open, 0);
    const asks = poller._holds.size === 0;
    assert.deepEqual(
      server.requests.slice(length).map(({ at, wait }) => [at, wait]),
      asks ? [[10_000, 0]] : [],
    );
    assert.equal(told('retry').length, 0);
  });
}

test('a hidden page does not wait, also if it continues to poll', async () => {
  globalThis.document = { hidden: true, baseURI: 'http://localhost/' };
  set('a', 1);
  follow('a');
  await clock.advance(10_000);
  assert.equal(waits().length, 0);
  globalThis.document.hidden = false;
  await clock.advance(1000);
  assert.ok(isWaiting());
});

test('at most two requests of a page wait', async () => {
  for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) {
    set(id, 1);
    follow(id, { url: `/jobs/${id}` });
  }
  await clock.advance(MINUTE);
  assert.ok(waits().length > 0);
  assert.equal(server.open, 2);
  const { length } = server.requests;
  await clock.advance(500);
  assert.ok(server.requests.length - length >= 4, 'the others are polled');
});

test('only records of a server that can wait are waited for', async () => {
  set('a', 1, { poll_after_ms: undefined });
  follow('a');
  await clock.advance(20_000);
  assert.equal(waits().length, 0);
});

test('a server that answers at once is asked at the interval, and rarely to wait', async () => {
  server.waits = false;
  set('a', 1);
  follow('a');
  await clock.advance(10 * MINUTE);
  assertSpacing();
  assert.ok(waits().length >= 2 && waits().length <= 21, `${waits().length} waits`);
});

test('a server over its limit is asked again later', async () => {
  server.waits = false;
  set('a', 1);
  follow('a');
  await clock.advance(10_000);
  server.waits = true;
  await clock.advance(30_000);
  assert.ok(isWaiting());
});

test('a slow server that cannot wait gets its pauses', async () => {
  server.waits = false;
  server.wait = 900;
  set('a', 1);
  follow('a');
  await clock.advance(5 * MINUTE);
  assert.equal(server.mostOpen, 1);
  const gaps = server.requests.slice(1).map(({ at }, index) => at - server.requests[index].at);
  assert.ok(gaps.filter((gap) => gap < 1800).length <= 10, 'once per suspension');
});

test('the time-out of a request does not end the wait', async () => {
  set('a', 1);
  follow('a', { requestTimeout: 1000 });
  await clock.advance(2 * MINUTE);
  assert.equal(told('retry').length, 0);
  assert.ok(server.requests.length <= 12, `${server.requests.length} requests`);
});

for (const [name, after, cut] of [
  ['504', 15_000, () => new Response('', { status: 504 })],
  ['a closed connection', 8000, () => Promise.reject(new TypeError('fetch failed'))],
  ['403 for the header', 0, () => new Response('', { status: 403 })],
  ['a preflight that fails', 0, () => Promise.reject(new TypeError('fetch failed'))],
]) {
  test(`a proxy that cuts waits with ${name} causes no outage`, async () => {
    const through = async (url, init) => {
      if (!init.headers.has('Prefer')) return server.fetch(url, init);
      server.requests.push({ url, at: clock.now(), wait: 25 });
      await new Promise((resolve) => clock.setTimeout(resolve, after));
      return cut();
    };
    set('a', 1);
    const poller = follow('a', { fetch: through });
    poller.addEventListener('connection', () => assert.equal(poller.error, null));
    for (let second = 0; second < 300; second += 1) {
      await clock.advance(1000);
      assert.equal(poller._phase, 'live');
    }
    assert.deepEqual([told('retry'), told('error')], [[], []]);
    assert.ok(waits().length >= 5 && waits().length <= 11, `${waits().length} waits`);
    assertSpacing();
  });
}

test('a wait that gets no response at all is no outage either', async () => {
  let hangs = true;
  const through = (url, init) =>
    hangs && init.headers.has('Prefer') ? new Promise(() => {}) : server.fetch(url, init);
  set('a', 1);
  const poller = follow('a', { fetch: through });
  await clock.advance(37_000);
  assert.equal(poller._phase, 'live');
  assert.equal(told('retry').length, 0);
  assert.equal(poller.polls, server.requests.length);
  hangs = false;
});

test('a server that says when to ask again is obeyed', async () => {
  set('a', 1);
  const poller = follow('a');
  await clock.advance(10_000);
  const { length } = server.requests;
  server.trouble = () => new Response('', { status: 429, headers: { 'Retry-After': '60' } });
  await clock.advance(50_000);
  assert.equal(poller._phase, 'retrying');
  assert.equal(server.requests.length, length);
});

test('an outage during a wait is shown; ten minutes later the page is live', async (context) => {
  set('a', 1);
  const poller = follow('a');
  await clock.advance(MINUTE);
  assert.ok(isWaiting());
  server.trouble = () => {
    throw new TypeError('fetch failed');
  };
  await clock.advance(700);
  assert.equal(poller._phase, 'retrying');
  await clock.advance(10 * MINUTE - 700);
  const requests = between(MINUTE, Infinity);
  context.diagnostic(`requests in an outage of ten minutes: ${requests}`);
  assert.ok(requests <= 25, `${requests} requests`);
  server.trouble = null;
  await clock.advance(30_000);
  assert.equal(poller._phase, 'live');
});

for (const [name, answer] of [
  ['401', () => new Response('', { status: 401 })],
  ['a page', () => new Response('<!doctype html>', { headers: { 'Content-Type': 'text/html' } })],
  [
    'a redirect to the login page',
    () =>
      Object.defineProperties(new Response('Sign in'), {
        redirected: { value: true },
        url: { value: 'http://localhost/login' },
      }),
  ],
]) {
  test(`a session that ends with ${name} during a wait, and is renewed`, async () => {
    globalThis.document = { hidden: false, baseURI: 'http://localhost/' };
    set('a', 1);
    const poller = follow('a');
    await clock.advance(MINUTE);
    server.trouble = answer;
    await clock.advance(700);
    assert.equal(poller.error?.kind, 'signed-out');
    await clock.advance(5 * MINUTE);
    assert.equal(told('signedout').length, 1);
    server.trouble = null;
    set('a', 2);
    await clock.advance(30_000);
    assert.deepEqual([poller._phase, poller.snapshot.version], ['live', 2]);
    assert.equal(told('error').length, 0);
  });
}
