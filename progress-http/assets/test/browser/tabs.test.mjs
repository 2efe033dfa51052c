import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { running, serveJobs } from '../support/jobs.mjs';
import { holdsInThreeTries, pause, until } from '../support/patience.mjs';
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

/** Times of the page's own clock, on that of the requests. */
const onOurClock = (at) => at - performance.timeOrigin;

const pollsBetween = (from, to = Infinity) => jobs.polls().filter(({ at }) => at >= from && at <= to);

/** How long after this moment the job was asked for. */
async function askedAfter(moment) {
  await until(() => pollsBetween(moment).length, 'a request');
  return pollsBetween(moment)[0].at - moment;
}

/** Milliseconds within which a page that is seen again asks how far the job is. */
const isSoon = (milliseconds) => milliseconds <= 250;

/** Makes a widget, and resolves when it shows its job. */
const follow = (options = {}) =>
  session.evaluate(
    (given) =>
      new Promise((resolve) => {
        globalThis.widget = new ProgressPolling('place', 'a-job', { ...given, onProgress: resolve });
      }),
    options,
  );

/** Puts another tab in front for a while; tells when the page was hidden and when it was seen again, by its own word. */
async function hideFor(milliseconds) {
  await session.evaluate(() => {
    globalThis.turns = [];
    document.onvisibilitychange = () => globalThis.turns.push([document.visibilityState, Date.now()]);
  });
  const tab = await session.currentTab();
  const other = await session.newTab();
  await session.switchTo(other);
  await pause(milliseconds);
  await session.switchTo(tab);
  const [hidden, visible] = await session.evaluate(
    () =>
      new Promise((resolve) => {
        const look = () => (globalThis.turns.length < 2 ? setTimeout(look, 10) : resolve(globalThis.turns));
        look();
      }),
  );
  assert.deepEqual([hidden[0], visible[0]], ['hidden', 'visible']);
  return { hidden: onOurClock(hidden[1]), visible: onOurClock(visible[1]) };
}

test('a hidden tab asks less often', { skip }, async () => {
  await follow({ hiddenPollInterval: 1000, pollInterval: 200 });
  const { hidden } = await hideFor(3000);
  const { length } = pollsBetween(hidden, hidden + 3000);
  assert.ok(length >= 2 && length <= 4, `${length} requests while hidden`);
});

test('a hidden tab asks at once when it is seen again', { skip }, async () => {
  await follow({ hiddenPollInterval: 60_000, pollInterval: 200 });
  const catchUp = async () => {
    const { hidden, visible } = await hideFor(700);
    // The one whose turn had been settled before.
    assert.ok(pollsBetween(hidden, visible - 1).length <= 1);
    return askedAfter(visible);
  };
  await holdsInThreeTries(catchUp, isSoon);
});

test('a hidden tab may be told to wait, or to go on', { skip }, async () => {
  await follow({ whenHidden: 'pause', pollInterval: 100 });
  const { hidden, visible } = await hideFor(1000);
  // The request that was open when the tab was hidden may have been on its way.
  assert.ok(pollsBetween(hidden, visible - 1).length <= 1);
  await askedAfter(visible);
  await session.evaluate(() => globalThis.widget.destroy());

  await follow({ whenHidden: 'continue', pollInterval: 1000, hiddenPollInterval: 60_000 });
  const turn = await hideFor(4000);
  assert.ok(pollsBetween(turn.hidden, turn.visible).length >= 2);
});

test(
  'a page that comes back from the back-forward cache asks at once, and did not while it was away',
  { skip },
  async () => {
    await follow({ pollInterval: 100 });
    let away = false;
    // The request that is open when the page is left would keep it out of the cache.
    jobs.respond = () => !away;
    const catchUp = async () => {
      await session.evaluate(() => {
        globalThis.restored = null;
        onpageshow = ({ persisted }) => (globalThis.restored = { persisted, at: Date.now() });
      });
      away = false;
      await pause(300);
      await session.goto(`${jobs.origin}/pages/linked.html`);
      away = true;
      const asked = jobs.polls().length;
      await pause(1000);
      assert.equal(jobs.polls().length, asked, 'nothing is asked for a page that was left');
      jobs.record = running(50);
      await session.back();
      const { persisted, at } = await session.evaluate(
        () =>
          new Promise((resolve) => {
            const look = () =>
              globalThis.restored === null ? setTimeout(look, 10) : resolve(globalThis.restored ?? {});
            look();
          }),
      );
      assert.equal(persisted, true, 'the page was kept');
      return askedAfter(onOurClock(at));
    };
    await holdsInThreeTries(catchUp, isSoon);
    const shown = () => session.evaluate(() => document.querySelector('[role=progressbar]').ariaValueNow);
    await until(async () => (await shown()) === '50', 'what is new');
  },
);
