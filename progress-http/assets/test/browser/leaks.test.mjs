import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, missing } from '../support/browser.mjs';
import { running, serveJobs } from '../support/jobs.mjs';

let jobs, browser;
before(async () => {
  if (missing) return;
  jobs = await serveJobs();
  jobs.record = running(42);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await jobs?.close();
});

/** Counts the timers that have not fired or been cleared. Runs in the page, before the widget. */
function countTimers() {
  const timers = new Set();
  const { setTimeout, clearTimeout } = globalThis;
  globalThis.setTimeout = (callback, delay) => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      callback();
    }, delay);
    timers.add(timer);
    return timer;
  };
  globalThis.clearTimeout = (timer) => {
    timers.delete(timer);
    clearTimeout(timer);
  };
  globalThis.timers = timers;
}

/**
 * Creates bars and destroys them, at once or when they show their job. Some have an element beside
 * them. Runs in the page.
 */
async function createAndDestroy(count) {
  const options = { showLog: true, allowCancel: true, persist: true, pollInterval: 50 };
  for (let made = 0; made < count; made += 1) {
    const element = document.createElement('progress-poller');
    element.setAttribute('job-id', `element-${made}`);
    const shown = new Promise((resolve) => {
      const widget = new ProgressPolling('place', 'a-job', {
        ...options,
        onProgress: () => resolve(widget),
      });
      if (made % 10) resolve(widget);
    });
    if (made % 3 === 0) document.body.append(element);
    (await shown).destroy();
    element.remove();
  }
}

test(
  'a thousand destroyed bars leave no node, listener, timer or memory',
  { skip: missing },
  async (context) => {
    const page = await browser.newPage();
    await page.addInitScript(countTimers);
    await page.goto(`${jobs.origin}/pages/plain.html`);
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('Performance.enable');
    const measure = async () => {
      await page.waitForTimeout(300);
      await devtools.send('HeapProfiler.collectGarbage');
      await devtools.send('HeapProfiler.collectGarbage');
      const { metrics } = await devtools.send('Performance.getMetrics');
      const { usedSize } = await devtools.send('Runtime.getHeapUsage');
      const { Nodes, JSEventListeners } = Object.fromEntries(
        metrics.map(({ name, value }) => [name, value]),
      );
      return {
        Nodes,
        JSEventListeners,
        usedSize,
        timers: await page.evaluate(() => globalThis.timers.size),
      };
    };
    // Warms up, because code and caches that are created once are not a leak.
    await page.evaluate(createAndDestroy, 200);
    const before = await measure();
    await page.evaluate(createAndDestroy, 1000);
    const afterwards = await measure();
    const grown = Object.fromEntries(
      Object.keys(before).map((name) => [name, afterwards[name] - before[name]]),
    );
    assert.equal(afterwards.timers, 0);
    assert.ok(grown.Nodes <= 0, `${grown.Nodes} nodes`);
    assert.ok(grown.JSEventListeners <= 0, `${grown.JSEventListeners} listeners`);
    assert.ok(grown.usedSize <= 100_000, `${grown.usedSize} bytes`);
    context.diagnostic(JSON.stringify(grown));
    const asked = jobs.requests.length;
    await page.waitForTimeout(300);
    assert.equal(jobs.requests.length, asked);
    await page.close();
  },
);
