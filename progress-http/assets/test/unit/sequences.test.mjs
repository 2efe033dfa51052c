import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ProgressPolling } from 'progress-polling';
import { createFakePage } from '../support/fake-page.mjs';
import { FakeClock } from '../support/fakes.mjs';
import { anySequence, assertExplained } from '../support/sequences.mjs';

// The built widget in a fake page. browser/sequences has a real one.

const RUNS = Number(process.env.FAST_CHECK_RUNS ?? 10_000);

/** Returns what a page shows after each answer. */
async function show(records, createContainer) {
  const clock = new FakeClock();
  const answers = [...records];
  const seen = [];
  const container = createContainer();
  const widget = new ProgressPolling(container, 'a-job', {
    clock,
    url: '/a-job',
    pollInterval: 500,
    fetch: async () => new Response(JSON.stringify(answers.shift())),
  });
  const textOf = (name) => container.part(name).textContent;
  // A job that has ended is not polled again.
  for (let left = Infinity; answers.length && answers.length < left; await clock.advance(400)) {
    left = answers.length;
    await clock.advance(100);
    const bar = container.part('bar').attributes;
    const [, processed] = container.part('statistics').children;
    seen.push({
      data: widget.snapshot,
      percent: bar['aria-valuenow'] ?? null,
      processed: processed.part('value').textContent,
      badge: textOf('badge'),
      message: textOf('message'),
      valueText: bar['aria-valuetext'],
    });
  }
  widget.destroy();
  return seen;
}

test(`in ${RUNS} sequences, the page explains each lower percentage`, async (context) => {
  const createContainer = createFakePage();
  const falls = { grown: 0, again: 0 };
  await fc.assert(
    fc.asyncProperty(anySequence, async (records) => {
      const seen = await show(records, createContainer);
      assert.ok(seen.length > 0);
      const { grown, again } = assertExplained(seen);
      falls.grown += grown;
      falls.again += again;
    }),
    { numRuns: RUNS },
  );
  context.diagnostic(`lower because a total grew: ${falls.grown}; a new attempt: ${falls.again}`);
  assert.ok(falls.grown >= RUNS / 10 && falls.again >= RUNS / 10, JSON.stringify(falls));
});
