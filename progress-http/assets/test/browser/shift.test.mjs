import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completed, running, send } from '../support/jobs.mjs';
import { jobs, page, skip, state } from '../support/page.mjs';
import { pause } from '../support/patience.mjs';

// What moves in the page while a job runs, by Chromium's own metric (layout-shift).

/** The most that the shifts of a whole job may add up to. 0.1 is "good" for a page. */
const LIMIT = 0.02;

/** Adds up the shifts of the page, and records what moved. Runs in the page. */
function observe() {
  globalThis.shifts = [];
  new PerformanceObserver((list) => {
    for (const { value, sources } of list.getEntries()) {
      const moved = sources.map(({ node }) => node?.className ?? node?.nodeName);
      globalThis.shifts.push([value, `${globalThis.present}: ${moved}`]);
    }
  }).observe({ type: 'layout-shift', buffered: true });
}

const STAGES = {
  stages: [
    { name: 'Read', weight: 1, state: 'completed' },
    { name: 'Check', weight: 2, state: 'running' },
  ],
  stage: 2,
};

/** The answers of the server from the start to the end: a record, or a status. */
const JOB = {
  waiting: running(0, { status: 'pending', current_message: null, custom_title: null }),
  'running, without a message': running(0, { version: 2, current_message: null }),
  'running, with a message': running(7, { current_message: 'Sending CCT2113 - INVOICE.pdf' }),
  'running, with an estimate': running(9, { estimated_remaining_time: 84 }),
  'running, with a long message': running(12, { current_message: 'word '.repeat(50) }),
  'running, in a stage': running(20, STAGES),
  'running, after its total grew': running(18, { ...STAGES, version: 22, total_items: 1200 }),
  'retrying, with a reason': running(18, {
    status: 'pending',
    retrying: true,
    attempt: 1,
    max_attempts: 5,
    error_message: 'The disk is full.',
    retry_at: '2096-03-02T14:03:12Z',
    version: 23,
  }),
  'running, in another attempt': running(30, { ...STAGES, attempt: 2, max_attempts: 5 }),
  'running, with errors': running(40, { failed_items: 1, estimated_remaining_time: 4 }),
  'running, with many errors': running(60, { failed_items: 13 }),
  stale: running(60, { failed_items: 13, stale: true, version: 70 }),
  'running again': running(80, { failed_items: 13 }),
  reconnecting: 503,
  'running after the outage': running(90, { failed_items: 14 }),
  completed: completed({
    failed_items: 14,
    result: { href: '/reports/7', label: 'Download the report' },
  }),
};

const OPTIONS = {
  plain: {},
  everything: { allowCancel: true, showLog: true, persist: true, icon: '📨' },
  compact: { compact: true, allowCancel: true },
};

for (const [width, height] of [
  [390, 844],
  [1280, 800],
]) {
  for (const [name, options] of Object.entries(OPTIONS)) {
    test(`nothing moves during a job: ${name}, ${width} pixels`, { skip }, async (context) => {
      await page.setViewportSize({ width, height });
      let answer = JOB.waiting;
      jobs.respond = (request, response) => {
        if (request.url.includes('/log')) return false;
        if (answer === 503) send(response, {}, 503);
        else send(response, answer);
        return true;
      };
      await page.evaluate(observe);
      await page.evaluate((given) => {
        document.getElementById('place').insertAdjacentHTML('afterend', '<p>Below.</p>'.repeat(20));
        new ProgressPolling('place', 'a-job', { ...given, pollInterval: 50, backoffBase: 100 });
      }, options);
      await state('waiting');
      // Only what moves while the job runs; the page itself has just been built.
      await pause(300);
      await page.evaluate(() => (globalThis.shifts.length = 0));
      for (const [present, next] of Object.entries(JOB)) {
        await page.evaluate((step) => (globalThis.present = step), present);
        if (next.failed_items) jobs.entries.push({ seq: jobs.entries.length + 1, level: 'error' });
        answer = next;
        await state(present.split(/[ ,]/)[0]);
        await pause(600);
      }
      const shifts = await page.evaluate(() => globalThis.shifts);
      const sum = shifts.reduce((total, [value]) => total + value, 0);
      context.diagnostic(`layout shift: ${sum.toFixed(4)}`);
      const report = shifts.map(([value, what]) => `${value.toFixed(4)} ${what}`).join('\n');
      assert.ok(sum <= LIMIT, `${sum}\n${report}`);
    });
  }
}

test('the measurement sees what moves', { skip }, async () => {
  await page.evaluate(observe);
  await page.evaluate(() => {
    document.getElementById('place').insertAdjacentHTML('afterend', '<p>Below.</p>'.repeat(20));
  });
  await pause(300);
  await page.evaluate(() => (document.getElementById('place').style.height = '300px'));
  await page.waitForFunction(() => globalThis.shifts.some(([value]) => value > 0.1));
});
