import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/clock.js';

test('a delay that is too long for a timer does not fire at once', async () => {
  let fired = false;
  const timer = systemClock.setTimeout(() => (fired = true), 1e300);
  await new Promise((resolve) => setTimeout(resolve, 20));
  systemClock.clearTimeout(timer);
  assert.equal(fired, false);
});
