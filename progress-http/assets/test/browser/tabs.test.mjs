import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { running, send, serveJobs } from '../support/jobs.mjs';
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

/** Converts a time of the page's clock to the clock of the requests. */
const onOurClock = (at) => at - performance.timeOrigin;

const pollsBetween = (from, to = Infinity) =>
  jobs.polls().filter(({ at }) => at >= from && at <= to);

/** Returns the milliseconds from a moment to the next request. */
async function askedAfter(moment) {
  await until(() => pollsBetween(moment).length, 'a request');
  return pollsBetween(moment)[0].at - moment;
}

/** Whether a page that becomes visible has polled quickly enough. */
const isSoon = (milliseconds) => milliseconds <= 250;

/** Creates a widget, and resolves when it shows its job. */
const follow = (options = {}) =>
  session.evaluate(
    (given) =>
      new Promise((resolve) => {
        globalThis.widget = new ProgressPolling('place', 'a-job', {
          ...given,
          onProgress: resolve,
        });
      }),
    options,
  );

/**
 * Shows another tab for a while. Returns when the page was hidden and when it became visible, as
 * the page itself measured.
 */
async function hideFor(milliseconds) {
  await session.evaluate(() => {
    globalThis.turns = [];
    document.onvisibilitychange = () =>
      globalThis.turns.push([document.visibilityState, Date.now()]);
  });
  const tab = await session.currentTab();
  const other = await session.newTab();
  await session.switchTo(other);
  await pause(milliseconds);
  await session.switchTo(tab);
  const [hidden, visible] = await session.evaluate(
    () =>
      new Promise((resolve) => {
        const look = () =>
          (globalThis.turns.length < 2 ? setTimeout(look, 10) : resolve(globalThis.turns));
        look();
      }),
  );
  assert.deepEqual([hidden[0], visible[0]], ['hidden', 'visible']);
  return { hidden: onOurClock(hidden[1]), visible: onOurClock(visible[1]) };
}

test('a hidden tab polls less often', { skip }, async () => {
  await follow({ hiddenPollInterval: 1000, pollInterval: 200 });
  const { hidden } = await hideFor(3000);
  const { length } = pollsBetween(hidden, hidden + 3000);
  assert.ok(length >= 2 && length <= 4, `${length} requests while hidden`);
});

test('a hidden tab polls at once when it becomes visible', { skip }, async () => {
  await follow({ hiddenPollInterval: 60_000, pollInterval: 200 });
  const catchUp = async () => {
    const { hidden, visible } = await hideFor(700);
    // At most the poll that was scheduled before.
    assert.ok(pollsBetween(hidden, visible - 1).length <= 1);
    return askedAfter(visible);
  };
  await holdsInThreeTries(catchUp, isSoon);
});

/**
 * Lets status requests wait for a change, as the server does. Returns the paths of the requests
 * that wait now.
 */
function letRequestsWait() {
  jobs.record = running(42, { poll_after_ms: 500 });
  const waiting = [];
  jobs.respond = (request, response) => {
    const path = request.url;
    const wait = Number(/^wait=(\d+)$/.exec(request.headers.prefer)?.[1] ?? 0);
    const headers = { ETag: `"${jobs.record.version}"` };
    const isKnown = request.headers['if-none-match'] === headers.ETag;
    if (!isKnown) return (send(response, jobs.record, 200, headers), true);
    const end = () => response.writeHead(304, { ...headers, 'Preference-Applied': 'wait' }).end();
    if (wait) {
      waiting.push(path);
      const timer = setTimeout(end, wait * 1000);
      response.on('close', () => {
        clearTimeout(timer);
        waiting.splice(waiting.indexOf(path), 1);
      });
    } else end();
    return true;
  };
  return waiting;
}

test('a visible tab waits for a change, a hidden one polls', { skip }, async () => {
  const waiting = letRequestsWait();
  for (const whenHidden of ['slow', 'continue', 'pause']) {
    await follow({ whenHidden, hiddenPollInterval: 1000 });
    await until(() => waiting.length === 1, 'a waiting request');
    let whileHidden;
    setTimeout(() => (whileHidden = waiting.length), 1500);
    await hideFor(2500);
    assert.equal(whileHidden, 0, whenHidden);
    await until(() => waiting.length === 1, 'a waiting request');
    await session.evaluate(() => globalThis.widget.destroy());
    await until(() => waiting.length === 0, 'the end of the request');
  }
});

test('six tabs over HTTP/1.1 leave connections for a click', { skip }, async () => {
  const waiting = letRequestsWait();
  const first = await session.currentTab();
  const others = [];
  await follow();
  for (let tab = 2; tab <= 6; tab += 1) {
    await until(() => waiting.length === 1, `tab ${tab - 1} waits`);
    const other = await session.newTab();
    others.push(other);
    await session.switchTo(other);
    await session.goto(`${jobs.origin}/pages/plain.html`);
    await follow();
  }
  await until(() => waiting.length === 1, 'only the visible tab waits');
  await pause(3000);
  assert.equal(waiting.length, 1);
  const spent = await session.evaluate(async () => {
    const begun = performance.now();
    await (await fetch('/pages/plain.html', { cache: 'no-store' })).text();
    return performance.now() - begun;
  });
  assert.ok(spent < 1000, `a click was answered after ${spent} ms`);
  for (const other of others) {
    await session.switchTo(other);
    await session.closeTab();
  }
  await session.switchTo(first);
});

test('whenHidden pauses a hidden tab, or lets it continue', { skip }, async () => {
  await follow({ whenHidden: 'pause', pollInterval: 100 });
  const { hidden, visible } = await hideFor(1000);
  // A request may have been open when the tab was hidden.
  assert.ok(pollsBetween(hidden, visible - 1).length <= 1);
  await askedAfter(visible);
  await session.evaluate(() => globalThis.widget.destroy());

  await follow({ whenHidden: 'continue', pollInterval: 1000, hiddenPollInterval: 60_000 });
  const turn = await hideFor(4000);
  assert.ok(pollsBetween(turn.hidden, turn.visible).length >= 2);
});

test(
  'a page does not poll in the back-forward cache, and polls at once when it is restored',
  { skip },
  async () => {
    await follow({ pollInterval: 100 });
    let away = false;
    // An open request would keep the page out of the cache.
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
      assert.equal(jobs.polls().length, asked, 'a page that was left does not poll');
      jobs.record = running(50);
      await session.back();
      const { persisted, at } = await session.evaluate(
        () =>
          new Promise((resolve) => {
            const look = () =>
              globalThis.restored === null
                ? setTimeout(look, 10)
                : resolve(globalThis.restored ?? {});
            look();
          }),
      );
      assert.equal(persisted, true, 'the page was in the cache');
      return askedAfter(onOurClock(at));
    };
    await holdsInThreeTries(catchUp, isSoon);
    const shown = () =>
      session.evaluate(() => document.querySelector('[role=progressbar]').ariaValueNow);
    await until(async () => (await shown()) === '50', 'the new value');
  },
);
