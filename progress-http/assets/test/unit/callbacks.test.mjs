import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { connectCallbacks } from '../../src/callbacks.js';
import { running } from '../support/fakes.mjs';
import { follow } from '../support/follow.mjs';

test('a callback that throws is reported, and neither stops the polling nor the other callbacks', async () => {
  const reported = mock.method(console, 'error', () => {});
  const { clock, poller } = follow([{ body: running(1) }, { body: running(2) }, { body: { status: 'completed' } }]);
  const mistake = new Error('a mistake of the page');
  const called = [];
  const callback = (name) => (data, meta) => {
    called.push([name, data.status, meta.polls]);
    throw mistake;
  };
  const callbacks = Object.fromEntries(
    ['onStart', 'onProgress', 'onComplete', 'onError', 'onSettled'].map((name) => [name, callback(name)]),
  );
  connectCallbacks(poller, callbacks, () => {}, new AbortController().signal);
  poller.start();
  await clock.advance(5000);
  reported.mock.restore();
  assert.deepEqual(called, [
    ['onStart', 'running', 1],
    ['onProgress', 'running', 1],
    ['onProgress', 'running', 2],
    ['onProgress', 'completed', 3],
    ['onComplete', 'completed', 3],
    ['onSettled', 'completed', 3],
  ]);
  assert.deepEqual(
    reported.mock.calls.map(({ arguments: [error] }) => error),
    Array(6).fill(mistake),
  );
});

test('nothing is called after the signal', async () => {
  const { clock, poller } = follow([{ body: running(1) }]);
  const life = new AbortController();
  const called = mock.fn();
  connectCallbacks(poller, { onProgress: called }, called, life.signal);
  life.abort();
  poller.start();
  await clock.advance(100);
  assert.equal(called.mock.callCount(), 0);
});
