import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { running, serveJobs } from '../support/jobs.mjs';
import { missing, startSession } from '../support/webdriver.mjs';

const skip = missing;
let jobs, session;

before(async () => {
  if (!missing) session = await startSession();
});
after(() => session?.close());
beforeEach(async () => {
  if (missing) return;
  jobs = await serveJobs();
  jobs.record = running(42);
  await session.goto(`${jobs.origin}/pages/plain.html`);
});
afterEach(() => jobs?.close());

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Makes a widget, and resolves when it shows its job. */
const follow = (options = {}) =>
  session.evaluate(
    (given) =>
      new Promise((resolve) => {
        globalThis.widget = new ProgressPolling('place', 'a-job', { ...given, onProgress: resolve });
      }),
    options,
  );

/** Puts another tab in front for a while; tells when the page was seen again, on the clock of the server. */
async function hideFor(milliseconds) {
  const tab = await session.currentTab();
  const other = await session.newTab();
  await session.switchTo(other);
  await pause(milliseconds);
  const seen = performance.now();
  await session.switchTo(tab);
  return seen;
}

test('a hidden tab asks less often, and at once when it is seen again', { skip }, async () => {
  await follow({ hiddenPollInterval: 1000, pollInterval: 200 });
  await session.evaluate(() => {
    globalThis.seen = [];
    document.addEventListener('visibilitychange', () => globalThis.seen.push([document.visibilityState, Date.now()]));
  });
  const asked = jobs.polls().length;
  const seen = await hideFor(3000);
  const meanwhile = jobs
    .polls()
    .slice(asked)
    .filter(({ at }) => at < seen);
  assert.ok(meanwhile.length >= 2 && meanwhile.length <= 4, `${meanwhile.length} requests while hidden`);
  await pause(400);
  const [[hidden], [visible, at]] = await session.evaluate(() => globalThis.seen);
  assert.deepEqual([hidden, visible], ['hidden', 'visible']);
  const first = jobs.polls().find((poll) => poll.at >= seen);
  const catchUp = performance.timeOrigin + first.at - at;
  assert.ok(catchUp <= 250, `asked ${catchUp} ms after the tab was seen`);
});

test('a hidden tab may be told to wait, or to go on', { skip }, async () => {
  await follow({ whenHidden: 'pause', pollInterval: 100 });
  await hideFor(200);
  const asked = jobs.polls().length;
  const seen = await hideFor(1000);
  assert.ok(
    jobs
      .polls()
      .slice(asked)
      .filter(({ at }) => at < seen).length <= 3,
  );
  await session.evaluate(() => globalThis.widget.destroy());

  await follow({ whenHidden: 'continue', pollInterval: 1000, hiddenPollInterval: 60_000 });
  const before = jobs.polls().length;
  const back = await hideFor(2500);
  assert.ok(
    jobs
      .polls()
      .slice(before)
      .filter(({ at }) => at < back).length >= 2,
  );
});

test(
  'a page that comes back from the back-forward cache asks at once, and did not while it was away',
  { skip },
  async () => {
    await follow({ pollInterval: 100 });
    await session.evaluate(() =>
      addEventListener('pageshow', ({ persisted }) => (globalThis.restored = { persisted, at: Date.now() })),
    );
    // The request that is open when the page is left would keep it out of the cache.
    let away = false;
    jobs.respond = () => !away;
    await pause(300);
    await session.goto(`${jobs.origin}/pages/linked.html`);
    away = true;
    const asked = jobs.polls().length;
    await pause(1000);
    assert.equal(jobs.polls().length, asked, 'nothing is asked for a page that was left');
    jobs.record = running(50);
    await session.back();
    await pause(400);
    const { persisted, at } = await session.evaluate(() => globalThis.restored ?? {});
    assert.equal(persisted, true, 'the page was kept');
    const first = jobs.polls()[asked];
    const catchUp = performance.timeOrigin + first.at - at;
    assert.ok(catchUp <= 250, `asked ${catchUp} ms after the page came back`);
    assert.equal(await session.evaluate(() => document.querySelector('[role=progressbar]').ariaValueNow), '50');
  },
);
