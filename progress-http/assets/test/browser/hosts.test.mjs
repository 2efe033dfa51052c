import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, missing } from '../support/browser.mjs';
import { HOSTS, INTERVAL, JOBS, serveHost } from '../support/hosts.mjs';
import { completed, running, send } from '../support/jobs.mjs';
import { pause, until } from '../support/patience.mjs';

// The same story on the pages of each library: the bars follow their jobs while the page around
// them changes, poll once per interval, end with their places, and come back with them.

const skip = missing;
const BARS = ['progress-poller', '#place'];
let browser;

before(async () => {
  if (!missing) browser = await launch();
});
after(() => browser?.close());


/** Serves and opens a page, and records the errors and warnings on its console. */
async function open(context, host) {
  const jobs = await serveHost(host);
  const page = await browser.newPage();
  context.after(() => Promise.all([page.close(), jobs.close()]));
  const reported = [];
  page.on('pageerror', (error) => reported.push(String(error)));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) reported.push(message.text());
  });
  await page.goto(`${jobs.origin}/`);
  return { jobs, page, reported };
}

const show = (page, selector) =>
  Promise.all(BARS.map((bar) => page.waitForSelector(`${bar} ${selector}`)));

/** Asserts that the bars are drawn: a track of 10/16 rem, filled to 42 %. */
async function areDrawn(page) {
  await show(page, '[aria-valuenow="42"]');
  const rem = await page.evaluate(() =>
    parseFloat(getComputedStyle(document.documentElement).fontSize),
  );
  for (const bar of BARS) {
    await until(async () => {
      const [track, fill] = await Promise.all(
        ['track', 'fill'].map((part) =>
          page.locator(`${bar} .progress-polling-${part}`).boundingBox(),
        ),
      );
      const filled = (fill.x + fill.width - track.x) / track.width;
      const isHigh = Math.abs(track.height / rem - 10 / 16) < 0.01;
      return isHigh && track.width > 200 && Math.abs(filled - 0.42) < 0.02;
    }, `${bar} is drawn`);
  }
}

/** Counts the requests for each job in one second, in which each response differs. */
async function countRequests(jobs) {
  let version = 2000;
  jobs.respond = (_request, response) => {
    send(response, running(60, { version: (version += 1) }));
    return true;
  };
  const before = jobs.requests.length;
  await pause(1000);
  const paths = jobs.requests.slice(before).map(({ path }) => path);
  jobs.respond = null;
  jobs.record = running(60, { version });
  return Object.values(JOBS).map((job) => paths.filter((path) => path === job).length);
}

const MOST = 1000 / INTERVAL + 1;

async function eachBarPollsOnce(jobs, when) {
  for (const count of await countRequests(jobs))
    assert.ok(count >= 3 && count <= MOST, `${when}: ${count} requests in a second`);
}

async function nothingPolls(jobs, when) {
  await pause(2 * INTERVAL);
  const before = jobs.requests.length;
  await pause(5 * INTERVAL);
  assert.equal(jobs.requests.length - before, 0, `${when}: requests`);
}

for (const [name, host] of Object.entries(HOSTS)) {
  test(`bars in a page with ${name}`, { skip }, async (context) => {
    const { jobs, page, reported } = await open(context, host);
    await areDrawn(page);

    for (jobs.site.edition = 1; jobs.site.edition <= 3; jobs.site.edition += 1) {
      await host.refresh(page, jobs.site.edition);
      await page.waitForSelector(`h1:text-is("Jobs ${jobs.site.edition}")`);
      await show(page, '[role=progressbar]');
    }
    jobs.record = running(60);
    await show(page, '[aria-valuenow="60"]');
    await eachBarPollsOnce(jobs, 'after refreshing the page');

    for (const [index, restore] of host.restores.entries()) {
      await host.remove(page);
      await page.waitForSelector('.progress-polling', { state: 'detached' });
      await nothingPolls(jobs, `removed, ${index}`);
      await restore(page);
      await show(page, '[aria-valuenow="60"]');
      await eachBarPollsOnce(jobs, `restored, ${index}`);
    }

    jobs.record = completed({ version: 9000 });
    await show(page, '[data-state=completed]');
    for (const bar of BARS)
      assert.equal(await page.locator(`${bar} [role=progressbar]`).count(), 1, bar);
    await nothingPolls(jobs, 'completed');
    assert.deepEqual(reported, []);
    assert.deepEqual(await page.evaluate(() => globalThis.violations ?? []), []);
  });
}

test('a second poller of the same job would be counted', { skip }, async (context) => {
  const { jobs, page } = await open(context, HOSTS['a strict policy']);
  await areDrawn(page);
  await page.evaluate(
    ([url, pollInterval]) => {
      const place = document.body.appendChild(document.createElement('div'));
      new ProgressPolling(place, 'by-class', { url, pollInterval });
    },
    [JOBS.class, INTERVAL],
  );
  const [, count] = await countRequests(jobs);
  assert.ok(count > MOST, `${count} requests in a second`);
});
