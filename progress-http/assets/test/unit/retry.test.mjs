import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProgressPoller } from '../../src/poller.js';
import { FakeClock, running } from '../support/fakes.mjs';
import { follow } from '../support/follow.mjs';

const unreachable = { error: new TypeError('fetch failed') };

test('pauses double up to the maximum, and the poller never gives up', async () => {
  const { clock, server, poller, told } = follow([unreachable]);
  poller.start();
  await clock.advance(3_600_000);
  assert.deepEqual(server.gaps.slice(0, 7), [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  assert.ok(server.requests.length <= 125, `${server.requests.length} requests in an hour`);
  assert.equal(poller._phase, 'retrying');
  assert.equal(told('error').length, 0);
});

test('after an outage of ten minutes the poller is live within one pause', async () => {
  for (const random of [() => 0, () => 1]) {
    const clock = new FakeClock();
    let requests = 0;
    const fetch = async () => {
      requests += 1;
      if (clock.now() < 600_000) throw new TypeError('fetch failed');
      return Response.json(running(1));
    };
    const poller = new ProgressPoller('a job', { clock, fetch, random });
    poller.start();
    await clock.advance(600_000);
    assert.ok(requests <= 45, `${requests} requests in ten minutes`);
    await clock.advance(30_000);
    assert.equal(poller._phase, 'live');
  }
});

test('maxRetries limits the retries', async () => {
  const { clock, server, poller, events } = follow([unreachable], { maxRetries: 2 });
  poller.start();
  await clock.advance(600_000);
  assert.equal(server.requests.length, 3);
  assert.deepEqual(
    events.slice(-2).map(({ type, data }) => [type, data.kind, data.status]),
    [
      ['error', 'network', 0],
      ['settled', 'network', 0],
    ],
  );
  await assert.rejects(poller.finished, { kind: 'network' });
});

const page = { text: '<!doctype html><title>Sign in</title>' };
const html = { text: 'Sign in', headers: { 'Content-Type': 'text/html; charset=utf-8' } };
for (const [name, answer] of Object.entries({ 401: { status: 401 }, page, html })) {
  test(`${name} means signed out; a renewed session is noticed`, async () => {
    const { clock, server, poller, told } = follow([
      { body: running(1) },
      answer,
      answer,
      answer,
      { body: running(2) },
    ]);
    poller.start();
    await clock.advance(600);
    assert.deepEqual([poller._phase, poller.error.kind], ['retrying', 'signed-out']);
    await clock.advance(10_000);
    assert.equal(poller._phase, 'live');
    assert.equal(poller.snapshot.version, 2);
    assert.equal(told('signedout').length, 1, 'once per outage');
    assert.equal(told('error').length, 0);
    assert.deepEqual(server.gaps.slice(0, 4), [500, 1000, 2000, 4000]);
  });
}

test('a redirect means signed out, unless it only adds a slash to the path', async () => {
  const redirectedTo = (url, body) => async () =>
    Object.defineProperties(Response.json(body), {
      redirected: { value: true },
      url: { value: `https://app.example${url}` },
    });
  for (const [url, phase] of [
    ['/login', 'retrying'],
    ['/progress/a%20job/', 'live'],
  ]) {
    const { clock, poller } = follow([], {
      endpoint: 'https://app.example/progress',
      fetch: redirectedTo(url, running(1)),
    });
    poller.start();
    await clock.advance(10);
    assert.equal(poller._phase, phase, url);
    poller.destroy();
  }
});

test('jitter shortens a pause by up to half', async () => {
  const { clock, server, poller } = follow([unreachable], { random: () => 0 });
  poller.start();
  await clock.advance(5000);
  assert.deepEqual(server.gaps, [500, 1000, 2000]);
});

test('an outage of a minute causes at most eight requests', async () => {
  for (const random of [() => 0, () => 0.5, () => 1]) {
    const { clock, server, poller } = follow([unreachable], { random });
    poller.start();
    await clock.advance(60_000);
    assert.ok(server.requests.length <= 8, `${server.requests.length} requests`);
  }
});

test('503 four times causes four pauses, each within its bounds', async () => {
  for (const random of [() => 0, () => 0.5, () => 1]) {
    const { clock, server, poller } = follow(
      [...Array(4).fill({ status: 503 }), { body: running(1) }],
      { random },
    );
    poller.start();
    await clock.advance(15_100);
    assert.equal(poller._phase, 'live');
    server.gaps.slice(0, 4).forEach((gap, index) => {
      const ceiling = 1000 * 2 ** index;
      assert.ok(gap >= ceiling / 2 && gap <= ceiling, `${gap} ms`);
    });
  }
});

test('after a success, the next failure starts with the shortest pause', async () => {
  const { clock, server, poller } = follow([
    unreachable,
    unreachable,
    { body: running(1) },
    unreachable,
    { body: running(2) },
  ]);
  poller.start();
  await clock.advance(4600);
  assert.deepEqual(server.gaps, [1000, 2000, 500, 1000]);
  assert.equal(poller._phase, 'live');
  assert.equal(poller.error, null);
});

for (const status of [408, 425, 429, 500, 502, 503, 504]) {
  test(`${status} is retried, but not before Retry-After`, async () => {
    const { clock, server, poller } = follow([
      { status, headers: { 'Retry-After': '7' } },
      { body: running(1) },
    ]);
    poller.start();
    await clock.advance(8000);
    // Not all pages at the same moment.
    assert.deepEqual(server.times, [0, 8000]);
    assert.equal(poller._phase, 'live');
  });
}

test('a Retry-After of a day ends when the viewer tries again', async () => {
  const { clock, server, poller } = follow([
    { status: 503, headers: { 'Retry-After': '86400' } },
    { body: running(1) },
  ]);
  poller.start();
  await clock.advance(60_000);
  assert.equal(server.requests.length, 1);
  poller.start();
  await clock.advance(0);
  assert.equal(poller._phase, 'live');
});

test('Retry-After never shortens a pause', async () => {
  const { clock, server, poller } = follow([{ status: 503, headers: { 'Retry-After': '0' } }]);
  poller.start();
  await clock.advance(3000);
  assert.deepEqual(server.times, [0, 1000, 3000]);
});

test('Retry-After may be a date, on the clock of the server', async () => {
  const headers = {
    'Retry-After': 'Wed, 21 Oct 2015 07:28:09 GMT',
    Date: 'Wed, 21 Oct 2015 07:28:00 GMT',
  };
  const { clock, server, poller } = follow([{ status: 503, headers }]);
  poller.start();
  await clock.advance(10_000);
  assert.deepEqual(server.times, [0, 10_000]);
});

for (const [status, kind] of [
  [403, 'refused'],
  [400, 'refused'],
  [410, 'gone'],
]) {
  test(`${status} is final`, async () => {
    const { clock, server, poller, told } = follow([{ status }]);
    poller.start();
    await clock.advance(600_000);
    assert.equal(server.requests.length, 1);
    assert.equal(poller._phase, 'lost');
    assert.deepEqual(
      told('error').map(({ data }) => [data.kind, data.status]),
      [[kind, status]],
    );
  });
}

test('404 is retried five times, because the record may not be visible yet', async () => {
  const { clock, server, poller, told } = follow([{ status: 404 }]);
  poller.start();
  await clock.advance(600_000);
  assert.equal(server.requests.length, 6);
  assert.equal(told('error')[0].data.kind, 'not-found');
});

test('failures of one kind do not use up the retries of another', async () => {
  const { clock, poller } = follow([
    ...Array(9).fill(unreachable),
    { status: 404 },
    { body: running(1) },
  ]);
  poller.start();
  await clock.advance(600_000);
  assert.equal(poller._phase, 'live');
});

for (const text of ['', '[]', 'null', '"running"', '{"error":"no"}', '{"status":7}', 'Not JSON']) {
  test(`a response that is not a record is never a success: ${JSON.stringify(text)}`, async () => {
    const { clock, poller, told } = follow([{ text }]);
    poller.start();
    await clock.advance(100_000);
    assert.deepEqual([poller._phase, poller.error.kind], ['retrying', 'unreadable']);
    assert.equal(poller.snapshot, null);
    assert.equal(told('progress').length, 0);
  });
}

test('a request without a response times out, even if fetch ignores the signal', async () => {
  const { clock, server, poller, told } = follow(
    [{ body: running(1), wait: 1e9 }, { body: running(2) }],
    { requestTimeout: 3000 },
  );
  poller.start();
  await clock.advance(4000);
  assert.equal(told('retry')[0].data.kind, 'timeout');
  assert.deepEqual(server.times, [0, 4000]);
  assert.equal(poller.snapshot.version, 2);
});

test('after giving up, a page that becomes visible polls once, without a new error', async () => {
  const { clock, server, poller, told } = follow([{ status: 403 }]);
  poller.start();
  await clock.advance(1000);
  poller.refresh();
  await clock.advance(1000);
  assert.equal(server.requests.length, 2);
  assert.equal(told('error').length, 1);
});

test('start after giving up starts over, with a new promise', async () => {
  const { clock, poller, told } = follow([
    { status: 403 },
    { status: 403 },
    { body: { status: 'completed' } },
  ]);
  poller.start();
  await clock.advance(1000);
  const before = poller.finished;
  poller.start();
  await clock.advance(1000);
  assert.equal(told('error').length, 2);
  poller.start();
  await clock.advance(1000);
  await assert.rejects(before);
  assert.equal((await poller.finished).status, 'completed');
});

test('a new start clears the error, also after a stop', async () => {
  const { clock, poller, told } = follow([{ status: 403 }, { status: 403, wait: 1000 }]);
  poller.start();
  await clock.advance(100);
  assert.equal(poller._phase, 'lost');
  poller.start();
  assert.deepEqual([poller._phase, poller.error], ['live', null]);
  await clock.advance(2000);
  assert.equal(poller._phase, 'lost');
  poller.stop();
  poller.start();
  const { finished } = poller;
  await clock.advance(2000);
  assert.equal(told('error').length, 3);
  await assert.rejects(finished);
});

test('a record that is not found is requested with a slash from then on', async () => {
  const found = { body: { status: 'running' } };
  const { clock, server, poller } = follow([{ status: 404 }, found]);
  poller.start();
  await clock.advance(2000);
  assert.deepEqual(
    server.requests.map(({ url }) => url),
    ['/progress/a%20job', '/progress/a%20job/', '/progress/a%20job/', '/progress/a%20job/'],
  );
});

test('a given url is requested unchanged', async () => {
  const { clock, server, poller } = follow([{ status: 404 }], { url: '/job' });
  poller.start();
  await clock.advance(2000);
  assert.deepEqual(new Set(server.requests.map(({ url }) => url)), new Set(['/job']));
});
