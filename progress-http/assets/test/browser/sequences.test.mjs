import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { page, skip } from '../support/page.mjs';
import { anySequence, assertExplained } from '../support/sequences.mjs';

// As unit/sequences, in a real page.

/** Follows a job whose polls get these records, and returns what the page shows then. In a page. */
async function show(sequences) {
  const shown = [];
  for (const records of sequences) {
    const answers = [...records];
    const timers = [];
    const clock = {
      now: () => 0,
      setTimeout: (callback) => timers.push(callback),
      clearTimeout: (timer) => (timers[timer - 1] = null),
    };
    const place = document.body.appendChild(document.createElement('div'));
    const widget = new ProgressPolling(place, 'a-job', {
      clock,
      url: '/a-job',
      fetch: async () => new Response(JSON.stringify(answers.shift())),
    });
    const seen = [];
    const ended = ['completed', 'failed', 'cancelled'];
    while (answers.length && !ended.includes(widget.snapshot?.status)) {
      const settled = new Promise((resolve) => {
        widget.addEventListener('answer', () => setTimeout(resolve), { once: true });
      });
      const due = timers.splice(0);
      for (const callback of due) callback?.();
      await settled;
      const part = (name) => place.querySelector(`.progress-polling-${name}`);
      seen.push({
        data: widget.snapshot,
        percent: part('bar').getAttribute('aria-valuenow'),
        processed: place.querySelector('[data-count=processed] dd').textContent,
        badge: part('badge').textContent,
        message: part('message').textContent,
        valueText: part('bar').getAttribute('aria-valuetext'),
      });
    }
    widget.destroy();
    place.remove();
    shown.push(seen);
  }
  return shown;
}

test('the page explains each lower percentage', { skip }, async (context) => {
  const falls = { grown: 0, again: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(anySequence, { minLength: 50, maxLength: 50 }), async (sequences) => {
      for (const seen of await page.evaluate(show, sequences)) {
        assert.ok(seen.length > 0);
        const { grown, again } = assertExplained(seen);
        falls.grown += grown;
        falls.again += again;
      }
    }),
    { numRuns: 20, endOnFailure: true },
  );
  context.diagnostic(`lower because a total grew: ${falls.grown}; a new attempt: ${falls.again}`);
  assert.ok(falls.grown >= 100 && falls.again >= 100, JSON.stringify(falls));
});
