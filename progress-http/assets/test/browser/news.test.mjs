import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { launch, missing as missingBrowser } from '../support/browser.mjs';
import { POLICY, hostile } from '../support/hostile.mjs';
import { completed, running, send, serveJobs } from '../support/jobs.mjs';
import { pause, until } from '../support/patience.mjs';
import { missing, startSession } from '../support/webdriver.mjs';

// The title of the tab, and notifications, in a browser in which a background tab is hidden. Each
// page has the strict policy.

const skip = missing;
let jobs, session;

before(async () => {
  if (!missing) session = await startSession();
});
after(() => session?.close());
beforeEach(async () => {
  if (missing) return;
  jobs = await serveJobs({ headers: { 'Content-Security-Policy': POLICY } });
  jobs.records = {};
  // Each job has its own record.
  jobs.respond = (request, response) => {
    const { pathname, searchParams } = new URL(request.url, jobs.origin);
    const idOf = (id) => ({ ...jobs.record, ...jobs.records[id], job_id: id });
    const ids = searchParams.get('ids')?.split(',');
    send(response, ids ? { jobs: ids.map(idOf), next: null } : idOf(pathname.split('/').pop()));
    return true;
  };
  jobs.record = running(42);
});
afterEach(async () => {
  await jobs?.close();
});

/** Opens the page, whose reader has decided about notifications. */
async function open(setting = 'granted', follow = true) {
  const permission = { name: 'notifications' };
  await session.devTools('Browser.setPermission', { permission, setting, origin: jobs.origin });
  await session.goto(`${jobs.origin}/pages/news.html`);
  await session.evaluate(record);
  if (!follow) return;
  await session.evaluate(() => {
    document.getElementById('element').setAttribute('job-id', 'a-job');
  });
}

/** Records the notifications of the page, which the browser shows all the same. */
function record() {
  const Real = Notification;
  globalThis.told = [];
  globalThis.Notification = class extends Real {
    constructor(...given) {
      super(...given);
      const entry = { title: this.title, body: this.body, tag: this.tag, lang: this.lang };
      entry.events = [];
      for (const type of ['show', 'close', 'error'])
        this.addEventListener(type, () =>
          entry.events.push(document.hidden ? `${type} hidden` : type),
        );
      globalThis.told.push(entry);
      globalThis.latest = this;
    }
  };
}

const title = () => session.evaluate(() => document.title);
const told = () => session.evaluate(() => globalThis.told);
const titleIs = (wanted) =>
  until(async () => (await title()) === wanted, `the title is "${wanted}"`);

/** Shows another tab. Returns a function that closes it and shows the first one. */
async function hide() {
  const tab = await session.currentTab();
  await session.switchTo(await session.newTab());
  return async () => {
    await session.closeTab();
    await session.switchTo(tab);
    await until(() => session.evaluate(() => !document.hidden), 'the tab is visible');
  };
}

/** The titles of all tabs. To ask a hidden tab itself, the session would have to show it. */
async function titles() {
  const { targetInfos } = await session.devTools('Target.getTargets');
  return targetInfos.filter(({ type }) => type === 'page').map((target) => target.title);
}

const hiddenTitleIs = (wanted) =>
  until(async () => (await titles()).includes(wanted), `a tab with the title ${wanted}`);

/** Lets the page believe that it is hidden, so that a test can look at it all the same. */
const pretend = (isHidden) =>
  session.evaluate((value) => {
    Object.defineProperty(document, 'hidden', { value, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, isHidden);

/** Adds the bar of a job. */
const addBar = (id, options = {}) =>
  session.evaluate(
    (job, given) => {
      const place = document.body.appendChild(document.createElement('div'));
      place.id = job;
      new ProgressPolling(place, job, { pollInterval: 50, hiddenPollInterval: 50, ...given });
    },
    id,
    options,
  );
const stateIs = (id, state) =>
  until(
    () =>
      session.evaluate(
        (...found) => {
          const place = document.getElementById(found[0]);
          return !!(place.shadowRoot ?? place).querySelector(`[data-state=${found[1]}]`);
        },
        id,
        state,
      ),
    `the bar of ${id} is ${state}`,
  );

test('the title shows the percentage, and is the page’s own again', { skip }, async () => {
  await open();
  await titleIs('(42%) Invoices');
  jobs.record = running(55);
  await titleIs('(55%) Invoices');
  // The page changes its title: with no regard to the prefix, and with the prefix in it.
  await session.evaluate(() => {
    document.title = 'Orders';
  });
  await titleIs('(55%) Orders');
  await session.evaluate(() => {
    document.title = `[2] ${document.title}`;
  });
  await titleIs('(55%) [2] Orders');
  jobs.record = running(56);
  await titleIs('(56%) [2] Orders');
  jobs.record = completed();
  await titleIs('[2] Orders');
  assert.deepEqual(await told(), [], 'the reader has seen the end');
  await pause(1500);
  assert.equal(await title(), '[2] Orders');
  assert.deepEqual(await session.evaluate(() => globalThis.violations), []);
});

test('the end in a hidden tab is told until the reader returns', { skip }, async () => {
  await open();
  await titleIs('(42%) Invoices');
  const back = await hide();
  jobs.record = running(60);
  await hiddenTitleIs('(60%) Invoices');
  jobs.record = completed({ failed_items: 3 });
  await hiddenTitleIs('(Completed) Invoices');
  await back();
  await titleIs('Invoices');
  await until(async () => (await told())[0]?.events.length === 2, 'the notification is closed');
  assert.deepEqual(await told(), [
    {
      title: 'Sending invoices',
      body: 'Completed (12 s) - 3 errors',
      tag: 'progress-polling a-job',
      lang: 'en',
      events: ['show hidden', 'close'],
    },
  ]);
});

test('a click on the notification shows the tab', { skip }, async () => {
  await open();
  await titleIs('(42%) Invoices');
  const back = await hide();
  jobs.record = { ...running(50), status: 'failed', error_message: 'The disk is full.' };
  await hiddenTitleIs('(Failed) Invoices');
  await back();
  const [{ body }] = await told();
  assert.equal(body, 'Failed – The disk is full.');
  // The browser has no user who could click, so the event is sent by hand.
  const focused = await session.evaluate(() => {
    let calls = 0;
    globalThis.focus = () => (calls += 1);
    globalThis.latest.dispatchEvent(new Event('click'));
    return calls;
  });
  assert.equal(focused, 1);
});

test('without the permission only the title tells it', { skip }, async () => {
  for (const setting of ['denied', 'prompt']) {
    jobs.record = running(42);
    await open(setting);
    await titleIs('(42%) Invoices');
    const back = await hide();
    jobs.record = completed();
    await hiddenTitleIs('(Completed) Invoices');
    await back();
    assert.deepEqual(await told(), [], setting);
    await titleIs('Invoices');
  }
});


test('a job that ended before the page was opened is not told', { skip }, async () => {
  await open('granted', false);
  await pretend(true);
  jobs.records = { old: completed(), bad: { ...completed(), status: 'failed' } };
  for (const id of ['old', 'bad']) await addBar(id);
  await stateIs('old', 'completed');
  await stateIs('bad', 'failed');
  await pause(100);
  assert.deepEqual([await told(), await title()], [[], 'Invoices']);
  // The control: a job whose end the page has seen.
  await addBar('new');
  await titleIs('(42%) Invoices');
  jobs.records.new = completed();
  await titleIs('(Completed) Invoices');
  assert.deepEqual((await told()).map(({ tag }) => tag), ['progress-polling new']);
});

test('of several jobs the title shows the one that is least far', { skip }, async () => {
  await open('granted', false);
  jobs.records = { a: running(70), b: running(30), c: running(50) };
  for (const id of ['a', 'b', 'c']) await addBar(id);
  await titleIs('(30%) Invoices');
  jobs.records.b = running(90);
  await titleIs('(50%) Invoices');
  jobs.records.c = running(50, { progress_percentage: null, total_items: null, version: 60 });
  await titleIs('(Running) Invoices');
  jobs.records.c = completed();
  await titleIs('(70%) Invoices');
  await pretend(true);
  jobs.records.a = completed();
  await titleIs('(90%) Invoices');
  jobs.records.e = { status: 'pending', progress_percentage: 0 };
  await addBar('e');
  await titleIs('(Waiting) Invoices');
  // A failure is told although other jobs go on, and later ends do not replace it.
  jobs.records.b = { ...running(95), status: 'failed', version: 200 };
  await titleIs('(Failed) Invoices');
  jobs.records.e = completed();
  await stateIs('e', 'completed');
  assert.equal(await title(), '(Failed) Invoices');
  await pretend(false);
  await titleIs('Invoices');
  assert.deepEqual(
    (await told()).map(({ tag, body }) => [tag, body]),
    [
      ['progress-polling a', 'Completed (12 s)'],
      ['progress-polling b', 'Failed'],
      ['progress-polling e', 'Completed (12 s)'],
    ],
  );
});

test('the words are those of the bar, in its language', { skip }, async () => {
  await open('granted', false);
  await addBar('a', { lang: 'fr', title: 'Envoi' });
  await titleIs('(42 %) Invoices');
  await pretend(true);
  jobs.record = { ...running(42), status: 'failed', error_message: 'worker lost', version: 50 };
  await titleIs('(Échec) Invoices');
  const [{ title: heading, body, lang }] = await told();
  assert.deepEqual([heading, body, lang], ['Envoi', 'Échec – Le processus a disparu.', 'fr']);
});

test('a bar that is removed leaves the title', { skip }, async () => {
  await open();
  await titleIs('(42%) Invoices');
  await session.evaluate(() => document.getElementById('element').remove());
  await titleIs('Invoices');
  // An outage is no end, and has no event when it is over.
  await addBar('a');
  await titleIs('(42%) Invoices');
  const { respond } = jobs;
  jobs.respond = (request, response) => response.writeHead(503).end();
  await titleIs('(Reconnecting) Invoices');
  jobs.respond = respond;
  await titleIs('(42%) Invoices');
  await pretend(true);
  jobs.respond = (request, response) => response.writeHead(410).end();
  await titleIs('(Unavailable) Invoices');
  assert.deepEqual((await told()).map(({ body }) => body), ['Unavailable – Job deleted.']);
});

test('a bar whose events the page stops is left out', { skip }, async () => {
  await open('granted', false);
  jobs.records = { a: running(10), b: running(20) };
  await addBar('b');
  await titleIs('(20%) Invoices');
  await session.evaluate(() => {
    document.addEventListener(
      'progress-polling:progress',
      (event) => event.target.id === 'a' && event.stopPropagation(),
    );
  });
  await addBar('a');
  await stateIs('a', 'running');
  await pretend(true);
  jobs.records.a = { ...running(10), status: 'failed', version: 50 };
  await stateIs('a', 'failed');
  jobs.records.b = completed();
  await titleIs('(Completed) Invoices');
  assert.deepEqual((await told()).map(({ tag }) => tag), ['progress-polling b']);
});

test('windows of the same job show one notification', { skip }, async () => {
  await open();
  await titleIs('(42%) Invoices');
  const one = await session.currentTab();
  const two = await session.newTab();
  await session.switchTo(two);
  await open();
  await titleIs('(42%) Invoices');
  const back = await hide();
  jobs.record = completed();
  await until(
    async () => (await titles()).filter((each) => each === '(Completed) Invoices').length === 2,
    'both tabs tell the end',
  );
  await back();
  const entries = await told();
  await session.closeTab();
  await session.switchTo(one);
  entries.push(...(await told()));
  assert.deepEqual(
    entries.map(({ tag }) => tag),
    ['progress-polling a-job', 'progress-polling a-job'],
  );
  // The later one has replaced the earlier one, while both windows were hidden.
  const replaced = entries.filter(({ events }) => events.includes('close hidden'));
  assert.equal(replaced.length, 1, JSON.stringify(entries));
});

test('a page without a title, and one with odd spaces', { skip }, async () => {
  await open('granted', false);
  await session.evaluate(() => document.querySelector('title').remove());
  await addBar('a', { messages: { running: 'Es  läuft \u00a0 noch' } });
  await titleIs('(42%)');
  jobs.record = running(42, { progress_percentage: null, total_items: null, version: 60 });
  await titleIs('(Es läuft noch)');
  jobs.record = running(61);
  await titleIs('(61%)');
  jobs.record = completed();
  await titleIs('');
});

test('hostile texts are harmless in the title and in notifications', { skip }, async () => {
  await open('granted', false);
  await pretend(true);
  for (const [index, text] of hostile.entries()) {
    jobs.records[index] = running(42);
    const own = await session.evaluate(
      (job, given) => {
        globalThis.ran ??= [];
        document.title = given;
        const messages = { failed: given };
        const options = { pollInterval: 50, hiddenPollInterval: 50, messages };
        new ProgressPolling('place', job, options);
        return document.title;
      },
      `${index}`,
      text,
    );
    await until(async () => (await title()).startsWith('(42%)'), `a title for ${text}`);
    assert.equal(await title(), `(42%) ${own}`);
    jobs.records[index] = {
      ...running(42),
      status: 'failed',
      version: 99,
      custom_title: text,
      error_message: text,
    };
    await until(async () => (await told()).length === index + 1, `the end of ${text}`);
    const { title: heading, body } = (await told())[index];
    assert.equal(heading.trim(), text.trim());
    assert.ok(body.trim().endsWith(text.trim()), body);
    await pretend(false);
    await titleIs(own);
    await pretend(true);
  }
  assert.deepEqual(await session.evaluate(() => globalThis.ran), []);
  assert.deepEqual(await session.evaluate(() => globalThis.violations), []);
});

test('the button is there while the browser can ask, and nothing else asks', { skip }, async () => {
  const isShown = () => session.evaluate(() => !document.querySelector('progress-notify').hidden);
  for (const setting of ['granted', 'denied']) {
    await open(setting);
    assert.equal(await isShown(), false, setting);
  }
  await open('prompt');
  await titleIs('(42%) Invoices');
  assert.ok(await isShown());
  // The browser shows no prompt without a screen. What the reader answers is set here.
  await session.evaluate(() => {
    globalThis.asked = [];
    Notification.requestPermission = async () => {
      globalThis.asked.push(navigator.userActivation.isActive);
      return Notification.permission;
    };
  });
  assert.equal(
    await session.evaluate(async () => {
      const { askForNotifications } = await import('/progress/progress-news.js');
      return askForNotifications();
    }),
    false,
  );
  assert.deepEqual(await session.evaluate(() => globalThis.asked), [], 'not without a click');
  await session.click('progress-notify button');
  await until(
    async () => (await session.evaluate(() => globalThis.asked)).length === 1,
    'a question',
  );
  assert.deepEqual(await session.evaluate(() => globalThis.asked), [true]);
  assert.ok(await isShown(), 'the reader may have closed the question');
  await session.devTools('Browser.setPermission', {
    permission: { name: 'notifications' },
    setting: 'granted',
    origin: jobs.origin,
  });
  await session.click('progress-notify button');
  await until(async () => !(await isShown()), 'the button disappears');
});

/** What browsers have in which a page cannot show a notification. */
const IMPOSSIBLE = {
  'a browser without notifications': () => delete globalThis.Notification,
  'Chrome on Android': () => {
    const { permission, requestPermission } = Notification;
    globalThis.Notification = class {
      static permission = permission;
      static requestPermission = requestPermission;
      constructor() {
        throw new TypeError('Illegal constructor.');
      }
    };
  },
};

for (const [name, change] of Object.entries(IMPOSSIBLE)) {
  test(`${name} tells it in the title`, { skip: missingBrowser }, async () => {
    const own = await serveJobs({ headers: { 'Content-Security-Policy': POLICY } });
    const browser = await launch();
    const context = await browser.newContext();
    await context.grantPermissions(['notifications'], { origin: own.origin });
    const page = await context.newPage();
    const mistakes = [];
    page.on('pageerror', (error) => mistakes.push(String(error)));
    await page.addInitScript(change);
    own.record = running(42);
    await page.goto(`${own.origin}/pages/news.html`);
    await page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { value: true, configurable: true });
      document.getElementById('element').setAttribute('job-id', 'a-job');
    });
    await page.waitForFunction(() => document.title === '(42%) Invoices');
    own.record = completed();
    await page.waitForFunction(() => document.title === '(Completed) Invoices');
    assert.ok(await page.evaluate(() => document.querySelector('progress-notify').hidden));
    assert.equal(
      await page.evaluate(async () =>
        (await import('/progress/progress-news.js')).askForNotifications(),
      ),
      false,
    );
    assert.deepEqual(mistakes, []);
    await browser.close();
    await own.close();
  });
}
