import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { ProgressPoller } from '../../src/poller.js';
import { FakeClock, FakeEndpoint, running } from '../support/fakes.mjs';

const { fetch } = globalThis;
let clock, server, endpoint, pollers, events;
let endpoints = 0;

beforeEach(() => {
  clock = new FakeClock();
  server = new FakeEndpoint(clock);
  globalThis.fetch = server.fetch;
  // A new endpoint, because pollers remember whether an endpoint supports lists.
  endpoint = `/jobs-${(endpoints += 1)}`;
  pollers = [];
  events = [];
});
afterEach(async () => {
  for (const poller of pollers) poller.destroy();
  await clock.advance(1000); // lets the timers of the fake endpoint fire
  assert.equal(clock.pending, 0);
  globalThis.fetch = fetch;
});

function follow(jobId, options = {}) {
  const poller = new ProgressPoller(jobId, { clock, endpoint, random: () => 1, ...options });
  for (const type of ['start', 'progress', 'complete', 'error', 'retry', 'settled']) {
    poller.addEventListener(type, ({ detail }) =>
      events.push(`${jobId} ${type} ${detail.data.version ?? detail.data.kind}`),
    );
  }
  pollers.push(poller);
  poller.start();
  return poller;
}

const set = (jobId, version, more = {}) =>
  server.jobs.set(jobId, running(version, { job_id: jobId, ...more }));
const asked = () => server.requests.map(({ url, at }) => `${at} ${url.replace(endpoint, '')}`);

test('pollers of one endpoint share one request', async () => {
  for (const id of ['a', 'b', 'c']) set(id, 1);
  for (const id of ['a', 'b', 'c']) follow(id);
  await clock.advance(1000);
  assert.deepEqual(asked(), ['0 /?ids=a,b,c', '500 /?ids=a,b,c', '1000 /?ids=a,b,c']);
  assert.deepEqual(
    events,
    ['a', 'b', 'c'].flatMap((id) => [`${id} start 1`, `${id} progress 1`]),
  );
});

test('a single job is requested by its own URL, with its ETag', async () => {
  set('a', 1);
  set('b', 1);
  follow('a');
  const other = follow('b');
  await clock.advance(600);
  other.stop();
  await clock.advance(900);
  assert.deepEqual(asked(), ['0 /?ids=a,b', '500 /?ids=a,b', '1000 /a', '1500 /a']);
  assert.deepEqual(
    server.requests.map(({ tag }) => tag),
    [null, '"1,1"', null, '"1"'],
  );
  assert.equal(events.filter((event) => event === 'a progress 1').length, 1);
});

test('an older ETag is not sent after a response without one', async () => {
  set('a', 1);
  follow('a');
  await clock.advance(600);
  set('b', 1);
  const other = follow('b');
  set('a', 2);
  await clock.advance(600);
  other.stop();
  await clock.advance(500);
  assert.deepEqual(server.requests.at(-1).tag, null);
});

test('bars that were created at different times soon share requests', async () => {
  for (const id of ['a', 'b', 'c']) set(id, 1);
  follow('a');
  await clock.advance(120);
  follow('b');
  await clock.advance(260);
  follow('c');
  await clock.advance(2000);
  assert.deepEqual(asked().slice(0, 5), [
    '0 /a',
    '120 /b',
    '380 /c',
    '500 /?ids=a,b',
    '880 /?ids=c,a,b',
  ]);
  assert.equal(
    asked()
      .slice(4)
      .every((request) => request.includes('ids=')),
    true,
  );
});

test('each job keeps its own interval, or the longer one of the server', async () => {
  set('quick', 1);
  set('slow', 1);
  set('patient', 1, { poll_after_ms: 3000 });
  follow('quick');
  follow('slow', { pollInterval: 2000 });
  follow('patient');
  await clock.advance(6000);
  const times = (id) => server.requests.filter(({ url }) => url.includes(id)).map(({ at }) => at);
  assert.equal(times('quick').length, 13);
  assert.deepEqual(times('slow'), [0, 2000, 4000, 6000]);
  assert.deepEqual(times('patient'), [0, 3000, 6000]);
  assert.equal(server.requests.length, 13);
});

test('two pollers of one job share its place in the list', async () => {
  set('a', 1);
  follow('a');
  follow('a');
  await clock.advance(0);
  assert.deepEqual(asked(), ['0 /?ids=a']);
  assert.equal(events.filter((event) => event === 'a progress 1').length, 2);
});

test('a job missing in the list is not found, and the others continue', async () => {
  set('a', 1);
  follow('a', { notFoundRetries: 2 });
  const missing = follow('b', { notFoundRetries: 2 });
  await clock.advance(10_000);
  assert.deepEqual(
    events.filter((event) => event.startsWith('b')),
    ['b retry not-found', 'b retry not-found', 'b error not-found', 'b settled not-found'],
  );
  assert.equal(missing._phase, 'lost');
  assert.equal(missing.error.status, 404);
  const quick = server.requests.filter(({ url }) => /\/a$|ids=.*a/.test(url)).map(({ at }) => at);
  assert.ok(quick.length >= 20 && quick.length <= 24, `${quick.length} requests for the other job`);
});

test('a job that waits after a failure does not join a request early', async () => {
  set('a', 1);
  set('b', 1);
  follow('a', { pollInterval: 800 });
  follow('b', { pollInterval: 800 });
  await clock.advance(100);
  server.jobs.delete('b');
  await clock.advance(8000);
  const times = server.requests.filter(({ url }) => /\/b$|ids=.*b/.test(url)).map(({ at }) => at);
  assert.deepEqual(times.slice(0, 5), [0, 800, 1800, 3800, 7800]);
});

test('an unchanged job causes one event, an older version none', async () => {
  set('a', 5);
  set('b', 1);
  follow('a');
  follow('b');
  await clock.advance(1200);
  set('a', 4);
  await clock.advance(600);
  set('a', 6);
  await clock.advance(600);
  assert.deepEqual(
    events.filter((event) => event.startsWith('a progress')),
    ['a progress 5', 'a progress 6'],
  );
});

test('an ended job is not requested again', async () => {
  set('a', 1);
  set('b', 1);
  follow('a');
  follow('b');
  await clock.advance(0);
  set('a', 2, { status: 'completed' });
  await clock.advance(1000);
  assert.deepEqual(asked(), ['0 /?ids=a,b', '500 /?ids=a,b', '1000 /b']);
  assert.deepEqual(
    events.filter((event) => event.startsWith('a')),
    ['a start 1', 'a progress 1', 'a progress 2', 'a complete 2', 'a settled 2'],
  );
});

test('an outage is one pause for any number of bars', async () => {
  let drawn = 0;
  const random = () => [0.9, 0.1, 0.5][(drawn += 1) % 3];
  server.trouble = () => new Response('', { status: 503 });
  for (const id of ['a', 'b', 'c', 'd']) follow(id, { random });
  await clock.advance(60_000);
  assert.ok(server.requests.length <= 8, `${server.requests.length} requests`);
  assert.ok(server.requests.every(({ url }) => url.endsWith('?ids=a,b,c,d')));
});

test('a record that is unreadable does not slow down the other bars', async () => {
  set('a', 1);
  set('b', 1);
  server.lists = false;
  server.trouble = () =>
    server.requests.at(-1).url.endsWith('/a') ? Response.json({ error: 'no' }) : undefined;
  follow('a');
  follow('b');
  await clock.advance(60_000);
  const times = asked().filter((line) => line.endsWith('/b'));
  assert.ok(times.length >= 100, `${times.length} requests for the other job`);
});

test('a bar that starts in an outage polls once, then waits with the others', async () => {
  server.trouble = () => new Response('', { status: 503 });
  for (const id of ['a', 'b']) follow(id);
  await clock.advance(10_000);
  follow('c');
  await clock.advance(6_000);
  assert.deepEqual(asked(), [
    '0 /?ids=a,b',
    '1000 /?ids=a,b',
    '3000 /?ids=a,b',
    '7000 /?ids=a,b',
    '10000 /c',
    '15000 /?ids=a,b,c',
  ]);
});

test('when one request succeeds, the other bars poll at once', async () => {
  server.trouble = () => new Response('', { status: 503 });
  for (const id of ['a', 'b', 'c']) set(id, 1);
  follow('a');
  follow('b');
  await clock.advance(8000);
  server.trouble = null;
  follow('c');
  await clock.advance(10);
  assert.deepEqual(asked().slice(-2), ['8000 /c', '8000 /?ids=a,b']);
  assert.ok(pollers.every(({ _phase: phase }) => phase === 'live'));
});

for (const status of [404, 403, 500, 503]) {
  test(`an endpoint that has returned a list still gets lists after ${status}`, async () => {
    set('a', 1);
    set('b', 1);
    follow('a');
    follow('b');
    await clock.advance(400);
    server.trouble = () => new Response('', { status });
    await clock.advance(500);
    server.trouble = null;
    for (const poller of pollers) poller.start();
    await clock.advance(3000);
    assert.ok(pollers.every(({ _phase: phase }) => phase === 'live'));
    assert.deepEqual(new Set(asked().map((line) => line.split(' ')[1])), new Set(['/?ids=a,b']));
  });
}

for (const [name, answer] of [
  ['404', () => new Response('', { status: 404 })],
  ['403', () => new Response('', { status: 403 })],
  ['500', () => new Response('', { status: 500 })],
  ['a page', () => new Response('<!doctype html>')],
  ['something else', () => Response.json({ success: false })],
]) {
  test(`an endpoint that answers a list with ${name} gets one request per job`, async () => {
    set('a', 1);
    set('b', 1);
    server.trouble = () => (server.requests.at(-1).url.includes('?ids=') ? answer() : undefined);
    follow('a');
    follow('b');
    await clock.advance(500);
    follow('c');
    set('c', 1);
    await clock.advance(400);
    assert.deepEqual(
      asked(),
      ['0 /?ids=a,b', '0 /a', '0 /b', '500 /c', '500 /a', '500 /b'].sort(),
      asked().join(),
    );
    assert.deepEqual(events.slice(0, 4), [
      'a start 1',
      'a progress 1',
      'b start 1',
      'b progress 1',
    ]);
    assert.equal(
      events.some((event) => /retry|error/.test(event)),
      false,
    );
  });
}

test('pollers share requests if they have the same headers and fetch, and no url', async () => {
  for (const id of ['a', 'b', 'c', 'd,e', 'f', 'g', 'h', 'i', 'j', 'k']) set(id, 1);
  const headers = () => ({ 'X-Token': 'abc' });
  follow('a', { url: `${endpoint}/a` });
  follow('b', { headers });
  follow('c', { headers });
  follow('d,e');
  follow('f', { credentials: 'include' });
  follow('g', { headers: { 'X-Token': 'abc' } });
  follow('h', { headers: { 'X-Token': 'abc' } });
  follow('i', { headers: { 'X-Token': 'other' } });
  const fetch = (...request) => server.fetch(...request);
  follow('j', { fetch });
  follow('k', { fetch });
  await clock.advance(0);
  assert.deepEqual(
    asked().sort(),
    ['0 /?ids=b,c', '0 /?ids=g,h', '0 /?ids=j,k', '0 /a', '0 /d%2Ce', '0 /f', '0 /i'],
  );
});

test('after one failure of the first list, sharing is suspended for a while', async () => {
  for (const id of ['a', 'b', 'c', 'd']) set(id, 1);
  server.trouble = () => (server.requests.length === 1 ? new Response('', { status: 500 }) : null);
  for (const id of ['a', 'b', 'c', 'd']) follow(id);
  await clock.advance(29_000);
  assert.equal(asked().filter((line) => line.includes('ids=')).length, 1);
  await clock.advance(3000);
  const last = asked().slice(-4);
  assert.ok(last.every((line) => line.includes('ids=')), last.join());
  assert.equal(server.mostOpen, 1);
});

test('a list has an ETag, which only those send that have seen its response', async () => {
  set('a', 1);
  set('b', 1);
  follow('a');
  follow('b');
  await clock.advance(1200);
  assert.deepEqual(
    server.requests.map(({ tag }) => tag),
    [null, '"1,1"', '"1,1"'],
  );
  const again = follow('a');
  await clock.advance(400);
  assert.equal(server.requests.at(-1).tag, null);
  assert.equal(again.snapshot.version, 1);
});

test('a record that was made anew with a lower version is shown', async () => {
  const created_at = '2026-03-02T09:00:00Z';
  set('a', 9, { created_at });
  const poller = follow('a');
  await clock.advance(100);
  set('a', 12, { created_at: '2026-03-02T08:00:00Z' });
  await clock.advance(500);
  assert.equal(poller.snapshot.version, 9, 'an earlier record is ignored');
  set('a', 2, { created_at: '2026-03-02T10:00:00Z', status: 'completed' });
  await clock.advance(500);
  assert.equal(poller.snapshot.version, 2);
  assert.equal(poller._phase, 'ended');
});

test('a request has at most a hundred jobs, and only one is open', async () => {
  server.wait = 40;
  const ids = Array.from({ length: 230 }, (_, index) => `job-${index}`);
  for (const id of ids) set(id, 1);
  for (const id of ids) follow(id);
  await clock.advance(2000);
  const counts = server.requests.map(({ url }) => url.split(',').length);
  assert.ok(Math.max(...counts) <= 100);
  assert.equal(server.mostOpen, 1);
  assert.equal(events.filter((event) => event.endsWith('progress 1')).length, 230);
  assert.ok(server.requests.length <= 15, `${server.requests.length} requests`);
});

test('a poller that leaves gets no more events; the last one aborts the request', async () => {
  server.wait = 100;
  set('a', 1);
  set('b', 1);
  const [one, other] = [follow('a'), follow('b')];
  await clock.advance(50);
  one.stop();
  await clock.advance(100);
  assert.deepEqual(events, ['b start 1', 'b progress 1']);
  one.start();
  await clock.advance(400);
  assert.equal(server.requests.at(-1).url, `${endpoint}/?ids=b,a`);
  one._hold('left');
  assert.equal(server.requests.at(-1).signal.aborted, false);
  other._hold('left');
  assert.equal(server.requests.at(-1).signal.aborted, true);
  assert.deepEqual(events, ['b start 1', 'b progress 1', 'a start 1', 'a progress 1']);
});

test('a listener may stop another poller', async () => {
  set('a', 1);
  set('b', 1);
  const one = follow('a');
  const other = follow('b');
  one.addEventListener('progress', () => other.destroy());
  await clock.advance(2000);
  assert.deepEqual(events, ['a start 1', 'a progress 1']);
});

test('a page that becomes visible sends one request for all jobs', async () => {
  for (const id of ['a', 'b', 'c']) set(id, 1);
  for (const id of ['a', 'b', 'c']) follow(id).hidden = true;
  await clock.advance(2000);
  for (const poller of pollers) {
    poller.hidden = false;
    poller.refresh();
  }
  await clock.advance(0);
  assert.deepEqual(asked(), ['0 /?ids=a,b,c', '2000 /?ids=a,b,c']);
});
