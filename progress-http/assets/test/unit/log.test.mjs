import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { followLog } from '../../src/log.js';
import { running } from '../support/fakes.mjs';
import { follow } from '../support/follow.mjs';

/** A server with a record that changes at every second poll. The log then grows by `grow`. */
function followWithLog({ grow, fail = () => false }) {
  const polls = { record: 0, log: [] };
  const context = follow([], {
    fetch: async (url) => {
      const address = new URL(url, 'http://localhost');
      if (!address.pathname.endsWith('/log')) {
        polls.record += 1;
        return Response.json(running(Math.ceil(polls.record / 2)));
      }
      const after = Number(address.searchParams.get('after'));
      const limit = Number(address.searchParams.get('limit'));
      polls.log.push(after);
      if (fail(polls.log.length)) return new Response('', { status: 503 });
      const newest = Math.ceil(polls.record / 2) * grow;
      const count = Math.min(newest - after, limit);
      const entries = Array.from({ length: count }, (_, index) => ({ seq: after + index + 1 }));
      return Response.json({ entries, next_after: after + count, dropped: 0 });
    },
  });
  const seen = [];
  const life = new AbortController();
  followLog(context.poller, (entries) => seen.push(...entries.map(({ seq }) => seq)), life.signal);
  return { ...context, life, polls, seen };
}

before(() => (globalThis.document = { baseURI: 'http://localhost/' }));
after(() => delete globalThis.document);

const upTo = (count) => Array.from({ length: count }, (_, index) => index + 1);

test('entries are read when the record has changed, each once', async () => {
  const { clock, poller, polls, seen } = followWithLog({ grow: 2 });
  poller.start();
  await clock.advance(2900);
  assert.equal(polls.record, 6);
  assert.deepEqual(polls.log, [0, 2, 4]);
  assert.deepEqual(seen, upTo(6));
});

test('a long log is read page by page', async () => {
  const { clock, poller, polls, seen } = followWithLog({ grow: 250 });
  poller.start();
  await clock.advance(0);
  assert.deepEqual(polls.log, [0, 100, 200]);
  assert.deepEqual(seen, upTo(250));
});

test('a failed request is retried and loses nothing', async () => {
  const { clock, poller, seen } = followWithLog({ grow: 2, fail: (request) => request === 1 });
  poller.start();
  await clock.advance(0);
  assert.deepEqual(seen, []);
  await clock.advance(1000);
  assert.deepEqual(seen, upTo(4));
});

test('after repeated failures the log is read only when the record changes', async () => {
  const { clock, poller, polls } = followWithLog({ grow: 2, fail: () => true });
  poller.start();
  await clock.advance(0);
  poller._hold('quiet');
  await clock.advance(60_000);
  assert.equal(polls.log.length, 3);
});

test('nothing is read or reported after the signal', async () => {
  const { clock, poller, polls, life } = followWithLog({ grow: 2 });
  poller.start();
  await clock.advance(0);
  life.abort();
  await clock.advance(5000);
  assert.deepEqual(polls.log, [0]);
});
