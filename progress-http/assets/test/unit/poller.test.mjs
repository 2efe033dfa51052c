import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProgressPoller } from '../../src/poller.js';
import { FakeClock, FakeServer, running } from '../support/fakes.mjs';
import { follow } from '../support/follow.mjs';

test('polls at once, and then at even intervals from start to start', async () => {
  const { clock, server, poller } = follow([{ body: running(1), wait: 120 }]);
  poller.start();
  await clock.advance(2100);
  assert.deepEqual(server.times, [0, 500, 1000, 1500, 2000]);
});

test('requests JSON from the URL of the job, bypassing the HTTP cache', async () => {
  const { clock, server, poller } = follow([{ body: running(1) }], {
    endpoint: '/jobs/',
    headers: { 'X-Token': 'abc' },
  });
  poller.start();
  await clock.advance(0);
  const [{ url, headers, cache, credentials = 'same-origin', method = 'GET' }] = server.requests;
  assert.equal(url, '/jobs/a%20job');
  assert.deepEqual(headers, { accept: 'application/json', 'x-token': 'abc' });
  assert.deepEqual([method, cache, credentials], ['GET', 'no-store', 'same-origin']);
});

test('calls the headers function for each request', async () => {
  let calls = 0;
  const { clock, server, poller } = follow([{ body: running(1) }], {
    headers: async () => ({ 'X-Call': String((calls += 1)) }),
  });
  poller.start();
  await clock.advance(500);
  assert.deepEqual(
    server.requests.map(({ headers }) => headers['x-call']),
    ['1', '2'],
  );
});

test('never has two requests open, and pauses as long as a response took', async () => {
  const { clock, server, poller } = follow([{ body: running(1), wait: 900 }]);
  poller.start();
  await clock.advance(10_000);
  assert.equal(server.mostOpen, 1);
  assert.deepEqual(new Set(server.gaps), new Set([1800]));
});

test('an interval below the minimum becomes the minimum', async () => {
  const { clock, server, poller } = follow([{ body: running(1) }], { pollInterval: 1 });
  poller.start();
  await clock.advance(200);
  assert.deepEqual(server.gaps, [50, 50, 50, 50]);
});

for (const value of [undefined, null, NaN, -1, 'soon', '5s']) {
  test(`an option that is ${value} means its default`, async () => {
    const names = [
      'pollInterval',
      'requestTimeout',
      'maxRetries',
      'notFoundRetries',
      'backoffBase',
      'backoffMax',
    ];
    const options = Object.fromEntries(names.map((name) => [name, value]));
    const { clock, server, poller, told } = follow(
      [{ body: running(1), wait: 200 }, { status: 503 }, { status: 503 }, { body: running(2) }],
      options,
    );
    poller.start();
    await clock.advance(4000);
    assert.deepEqual(server.times, [0, 500, 1500, 3500, 4000]);
    assert.equal(told('error').length, 0);
  });
}

test('numbers may be strings, as in attributes', async () => {
  const { clock, server, poller } = follow([{ body: running(1) }], { pollInterval: '100' });
  poller.start();
  await clock.advance(300);
  assert.deepEqual(server.times, [0, 100, 200, 300]);
});

test('an id may be a number', async () => {
  const clock = new FakeClock();
  const server = new FakeServer(clock, [{ body: running(1) }]);
  const poller = new ProgressPoller(42, { clock, fetch: server.fetch });
  poller.start();
  await clock.advance(0);
  assert.equal(server.requests[0].url, '/progress/42');
});

test('poll_after_ms may lengthen the interval, and a 304 keeps it', async () => {
  const answers = [
    { body: running(1, { poll_after_ms: 2000 }), headers: { ETag: '"1"', 'Retry-After': '60' } },
    { status: 304 },
    { body: running(2, { poll_after_ms: 10 }) },
  ];
  const { clock, server, poller } = follow(answers);
  poller.start();
  await clock.advance(5000);
  assert.deepEqual(server.times, [0, 2000, 4000, 4500, 5000]);
});

test('an invalid version or poll_after_ms counts as missing', async () => {
  for (const value of [null, -1, '<b>', {}, [], true]) {
    const odd = running(1, { version: value, poll_after_ms: value });
    const { clock, server, poller } = follow([
      { body: running(7) },
      { body: odd },
      { body: running(6) },
    ]);
    poller.start();
    await clock.advance(1500);
    assert.deepEqual(server.times, [0, 500, 1000, 1500], JSON.stringify(value));
    assert.deepEqual(poller.snapshot, odd, 'the highest version still counts');
  }
});

test('a huge poll_after_ms does not become a short one', async () => {
  const { clock, server, poller } = follow([{ body: running(1, { poll_after_ms: 1e300 }) }]);
  poller.start();
  await clock.advance(1e9);
  assert.equal(server.requests.length, 1);
});

test('a hidden page polls less often, and at once when it becomes visible', async () => {
  const { clock, server, poller } = follow([{ body: running(1) }]);
  poller.hidden = true;
  poller.start();
  await clock.advance(10_000);
  assert.deepEqual(server.times, [0, 5000, 10_000]);
  poller.hidden = false;
  await clock.advance(100);
  poller.refresh();
  await clock.advance(0);
  assert.equal(server.times.at(-1), 10_100);
});

test('sends the ETag back unchanged; an unchanged job causes one event', async () => {
  const tag = '"18f3c2a1b00-12"';
  const { clock, server, poller, told } = follow([
    { body: running(1), headers: { ETag: tag } },
    { status: 304 },
  ]);
  poller.start();
  await clock.advance(5000);
  assert.equal(server.requests[0].headers['if-none-match'], undefined);
  assert.equal(server.requests[10].headers['if-none-match'], tag);
  assert.equal(told('progress').length, 1);
  assert.equal(poller.polls, 11);
});

test('without ETags and versions, equal responses cause one event', async () => {
  const body = { status: 'in_progress', total_items: 4, processed_items: 1 };
  const done = { status: 'completed', total_items: 4, processed_items: 4 };
  const { clock, poller, events } = follow([{ body }, { body }, { body }, { body: done }]);
  poller.start();
  await clock.advance(3000);
  assert.deepEqual(
    events.map(({ type }) => type),
    ['start', 'progress', 'progress', 'complete', 'settled'],
  );
});

test('an older version is ignored', async () => {
  const answers = [
    { body: running(9), headers: { ETag: '"9"' } },
    { body: running(3), headers: { ETag: '"3"' } },
    { body: { status: 'completed', version: 4 } },
    { body: running(10) },
  ];
  const { clock, server, poller, told } = follow(answers);
  poller.start();
  await clock.advance(1200);
  assert.equal(poller.snapshot.version, 9);
  assert.equal(server.requests[2].headers['if-none-match'], '"9"');
  await clock.advance(300);
  assert.deepEqual(
    told('progress').map(({ data }) => data.version),
    [9, 10],
  );
});

test('each event comes once, in order, with the data; then polling stops', async () => {
  const end = { status: 'completed', version: 3, extra: ['kept'] };
  const { clock, server, poller, events } = follow([
    { body: { status: 'pending', version: 1 } },
    { body: running(2) },
    { body: end },
  ]);
  poller.start();
  await clock.advance(60_000);
  assert.deepEqual(
    events.map(({ type }) => type),
    ['progress', 'start', 'progress', 'progress', 'complete', 'settled'],
  );
  assert.deepEqual(
    events.map(({ meta }) => meta.initial),
    [true, false, false, false, false, false],
  );
  assert.deepEqual(events.at(-1).data, end);
  assert.deepEqual(await poller.finished, end);
  assert.equal(server.requests.length, 3);
  assert.equal(clock.pending, 0);
});

for (const [status, type] of [
  ['failed', 'error'],
  ['cancelled', 'cancelled'],
]) {
  test(`a ${status} job ends with ${type}`, async () => {
    const { clock, poller, events } = follow([{ body: { status } }]);
    poller.start();
    await clock.advance(5000);
    assert.deepEqual(
      events.map((event) => event.type),
      ['progress', type, 'settled'],
    );
    assert.equal(events[1].meta.initial, true);
  });
}

test('a stopped poller drops a late response, even if fetch ignores the signal', async () => {
  const { clock, server, poller, events } = follow([{ body: { status: 'completed' }, wait: 400 }]);
  poller.start();
  await clock.advance(100);
  poller.stop();
  assert.equal(server.requests[0].signal.aborted, true);
  await clock.advance(5000);
  assert.deepEqual(events, []);
  poller.start();
  await clock.advance(5000);
  assert.deepEqual(
    events.map(({ type }) => type),
    ['progress', 'complete', 'settled'],
  );
});

test('destroy leaves no timer, rejects the promise and cannot be undone', async () => {
  const { clock, server, poller } = follow([{ body: running(1) }]);
  poller.start();
  await clock.advance(600);
  poller.destroy();
  assert.equal(clock.pending, 0);
  await assert.rejects(poller.finished, { name: 'AbortError' });
  poller.start();
  await clock.advance(5000);
  assert.equal(server.requests.length, 2);
});

test('a listener may stop the poller', async () => {
  const { clock, server, poller } = follow([{ body: running(1) }]);
  poller.addEventListener('progress', () => poller.stop());
  poller.start();
  await clock.advance(5000);
  assert.equal(server.requests.length, 1);
});

test('refresh during a request does not send another', async () => {
  const { clock, server, poller } = follow([{ body: running(1), wait: 100 }]);
  poller.start();
  poller.refresh();
  await clock.advance(50);
  poller.refresh();
  await clock.advance(100);
  assert.equal(server.requests.length, 1);
});

test('a hold aborts the request and pauses polling until it is removed', async () => {
  const { clock, server, poller } = follow([{ body: running(1), wait: 50 }]);
  poller.start();
  await clock.advance(510);
  poller._hold('offline');
  poller._hold('left');
  assert.equal(server.requests[1].signal.aborted, true);
  await clock.advance(60_000);
  poller._hold('left', false);
  await clock.advance(0);
  assert.equal(server.requests.length, 2);
  poller._hold('offline', false);
  await clock.advance(0);
  assert.equal(server.requests.length, 3);
});
