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
 * Creates bars and destroys them, at once or when they show their job. Runs in the page.
 *
 * @param {{ kind: string, count: number }} given
 */
async function createAndDestroy({ kind, count }) {
  const options = { showLog: true, allowCancel: true, persist: true, pollInterval: 50 };
  for (let made = 0; made < count; made += 1) {
    const element = document.createElement('progress-poller');
    element.setAttribute('job-id', `element-${made}`);
    const attributes = ['show-log', 'allow-cancel', 'persist'];
    if (kind === 'element') for (const name of attributes) element.setAttribute(name, '');
    const place = kind === 'element' ? element : document.getElementById('place');
    const shown = new Promise((resolve) =>
      place.addEventListener('progress-polling:progress', resolve, { once: true }),
    );
    if (kind === 'element') document.body.append(element);
    else new ProgressPolling('place', 'a-job', options);
    // An element in the page, beside the bar of the class.
    if (kind === 'class' && made % 3 === 0) document.body.append(element);
    if (made % 10 === 0) await shown;
    if (kind === 'class') place.progressPolling.destroy();
    element.remove();
  }
}

for (const kind of ['class', 'element']) {
  const title = `a thousand destroyed bars leave no node, listener, timer or memory: ${kind}`;
  test(title, { skip: missing }, async (context) => {
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
    await page.evaluate(createAndDestroy, { kind, count: 200 });
    const before = await measure();
    await page.evaluate(createAndDestroy, { kind, count: 1000 });
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
  });
}
