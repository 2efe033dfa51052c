import assert from 'node:assert/strict';
import { test } from 'node:test';
import { START, job, openList, server, skip, titles } from '../support/list.mjs';
import { pause, until } from '../support/patience.mjs';

// What a list of 200 running jobs costs the server and the page.

const JOBS = 200;
const SECONDS = 10;

/** Adds up the layout shifts of the page, and records what moved. Runs in the page. */
function observe() {
  globalThis.shifts = [];
  new PerformanceObserver((entries) => {
    for (const { value, sources } of entries.getEntries())
      globalThis.shifts.push([value, sources.map(({ node }) => node?.className)]);
  }).observe({ type: 'layout-shift' });
}

async function metrics(devtools) {
  const { metrics: all } = await devtools.send('Performance.getMetrics');
  return Object.fromEntries(all.map(({ name, value }) => [name, value]));
}

for (const [width, height] of [
  [1280, 800],
  [390, 844],
]) {
  test(`200 running jobs in one list: ${width} pixels`, { skip }, async (context) => {
    for (let number = 1; number <= JOBS; number += 1) {
      const id = await job(`Job ${number}`, { total: 100_000 });
      // About four changes a second, of different sizes.
      await server.run(id, { items: 100_000, delay_us: 20_000 + number * 500, fail_every: 50 });
    }
    const page = await openList({
      attributes: { 'page-size': '100' },
      window: { viewport: { width, height } },
    });
    await page.getByRole('button', { name: 'Show more' }).click();
    await until(async () => (await titles(page)).length === JOBS, `${JOBS} rows`);
    await pause(3000);
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
    await page.evaluate(observe);
    const before = await metrics(devtools);
    const began = performance.now();
    const asked = server.requests.length;
    await pause(SECONDS * 1000);
    const seconds = (performance.now() - began) / 1000;
    const after = await metrics(devtools);
    const requests = server.requests.slice(asked);
    const shifts = await page.evaluate(() => globalThis.shifts);
    const shift = shifts.reduce((sum, [value]) => sum + value, 0);
    const share = (after.TaskDuration - before.TaskDuration) / seconds;
    const script = (after.ScriptDuration - before.ScriptDuration) / seconds;
    const layout = (after.LayoutDuration - before.LayoutDuration) / seconds;
    context.diagnostic(
      `${(requests.length / seconds).toFixed(2)} requests a second, ` +
        `${(share * 100).toFixed(1)} % of the main thread ` +
        `(script ${(script * 100).toFixed(1)} %, layout ${(layout * 100).toFixed(1)} %), ` +
        `layout shift ${shift.toFixed(4)} in ${SECONDS} s`,
    );
    assert.ok(requests.length / seconds <= 3, `${requests.length} requests`);
    assert.ok(shift <= 0.02, JSON.stringify(shifts));
    // The figures move: it is no list that has stopped.
    const first = () => page.locator('td.progress-polling-processed').first().textContent();
    const seen = await first();
    await until(async () => (await first()) !== seen, 'the first row moves');
    // And the last one, far below.
    const last = () => page.locator('td.progress-polling-processed').last().textContent();
    const seenLast = await last();
    await until(async () => (await last()) !== seenLast, 'the last row moves');
  });
}

test('the list stops when it is removed, and leaves nothing', { skip }, async (context) => {
  await job('Job', { updates: [START] });
  const page = await openList();
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable');
  const cycle = (count) =>
    page.evaluate(async (times) => {
      const main = document.getElementById('main');
      for (let made = 0; made < times; made += 1) {
        main.replaceChildren();
        const list = document.createElement('progress-list');
        list.setAttribute('allow-cancel', '');
        main.append(list);
        const drawn = () => list.shadowRoot.querySelector('th button');
        if (made % 5 === 0) {
          while (!drawn()) await new Promise((resolve) => setTimeout(resolve, 5));
          drawn().click();
          // Moved within the page, and taken away for a moment.
          main.append(document.createElement('div'));
          main.lastChild.append(list);
          if (!drawn()) throw new Error('a moved list is drawn anew');
          list.remove();
          main.append(list);
        }
      }
      main.replaceChildren();
      // Chromium's autofill keeps the last `select` whose options changed in the page. If that is
      // one of a list, the whole list is kept. It must not count: change another one.
      const control = document.createElement('select');
      main.append(control);
      control.append(document.createElement('option'));
      await new Promise((done) => setTimeout(done, 200));
      main.replaceChildren();
    }, count);
  const measure = async () => {
    await pause(500);
    for (let times = 0; times < 2; times += 1) await devtools.send('HeapProfiler.collectGarbage');
    const { Nodes, JSEventListeners } = await metrics(devtools);
    const { usedSize } = await devtools.send('Runtime.getHeapUsage');
    return { Nodes, JSEventListeners, usedSize };
  };
  await cycle(50);
  const before = await measure();
  await cycle(200);
  const after = await measure();
  const grown = Object.fromEntries(
    Object.keys(before).map((name) => [name, after[name] - before[name]]),
  );
  context.diagnostic(JSON.stringify(grown));
  assert.ok(grown.Nodes <= 0, `${grown.Nodes} nodes`);
  assert.ok(grown.JSEventListeners <= 0, `${grown.JSEventListeners} listeners`);
  assert.ok(grown.usedSize <= 100_000, `${grown.usedSize} bytes`);
  const asked = server.requests.length;
  await pause(1500);
  assert.equal(server.requests.length, asked, 'no request');
  assert.deepEqual(page.mistakes, []);
});

/** Asks the server for a page of the list. */
async function listed(query) {
  const headers = { 'x-viewer': 'owner:ann' };
  const reply = await fetch(`${server.upstream}/progress/${query}`, { headers });
  const { jobs, next } = await reply.json();
  return { titles: jobs.map(({ custom_title: title }) => title), next };
}

test('jobs that come for hours do not fill the page', { skip }, async () => {
  await job('Oldest', { updates: [START] });
  const page = await openList({ attributes: { 'page-size': '10' } });
  await until(async () => (await titles(page)).length === 1, 'one row');
  // A burst of more than a page: the rows below it would leave a gap.
  for (let number = 1; number <= 30; number += 1) await job(`Burst ${number}`);
  await until(async () => (await titles(page)).includes('Burst 30'), 'the newest job');
  // In the order of the server: jobs of the same millisecond may be in any order.
  assert.deepEqual((await titles(page)).slice(0, 10), (await listed('?limit=10')).titles);
  let most = 0;
  for (let number = 1; number <= 150; number += 1) {
    await job(`Slow ${number}`);
    if (number % 5 === 0) await pause(300);
    most = Math.max(most, await page.locator('tbody > [data-tone]').count());
  }
  assert.ok(most <= 130, `${most} rows`);
  // Whatever was cut is found again, without a gap.
  while (await page.getByRole('button', { name: 'Show more' }).isVisible()) {
    const count = (await titles(page)).length;
    await page.getByRole('button', { name: 'Show more' }).click();
    await until(async () => (await titles(page)).length > count, 'more rows');
  }
  const all = await titles(page);
  const expected = [];
  for (let cursor = ''; cursor !== null;) {
    const { titles: found, next } = await listed(`?limit=100${cursor}`);
    expected.push(...found);
    cursor = next && `&cursor=${next}`;
  }
  assert.equal(expected.length, 181);
  assert.deepEqual(all, expected);
});
