import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { launch, missing } from '../support/browser.mjs';
import { completed, running, send, serveJobs } from '../support/jobs.mjs';

const skip = missing;
let jobs, browser, page;

before(async () => {
  if (!missing) browser = await launch();
});
after(() => browser?.close());
beforeEach(async () => {
  if (missing) return;
  jobs = await serveJobs();
  jobs.record = running(42);
  page = await browser.newPage();
  await page.goto(`${jobs.origin}/pages/plain.html`);
});
afterEach(async () => {
  await page?.close();
  await jobs?.close();
});

/** Makes a widget in the page; each callback and each DOM event leaves its name in `told`. */
const follow = (options = {}) =>
  page.evaluate((given) => {
    globalThis.told = [];
    const names = ['onStart', 'onProgress', 'onComplete', 'onError', 'onRetry', 'onCancelled', 'onSettled'];
    const callbacks = Object.fromEntries(
      names.map((name) => [name, (data, meta) => globalThis.told.push([name, data.status, meta.initial])]),
    );
    for (const type of ['start', 'progress', 'complete', 'settled']) {
      document.addEventListener(`progress-polling:${type}`, ({ detail, target }) =>
        globalThis.told.push([type, detail.data.status, target.id]),
      );
    }
    globalThis.widget = new ProgressPolling('place', 'a-job', { ...callbacks, ...given });
  }, options);

const state = (name) => page.waitForSelector(`#place [data-state=${name}]`);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

test('a quick server is asked every 500 ms', { skip }, async () => {
  await follow();
  await pause(6000);
  const times = jobs.polls().map(({ at }) => at);
  const gaps = times
    .slice(1)
    .map((at, index) => at - times[index])
    .sort((one, other) => one - other);
  const median = gaps[Math.floor(gaps.length / 2)];
  assert.ok(times.length >= 12 && times.length <= 14, `${times.length} requests`);
  assert.ok(median >= 475 && median <= 525, `median gap of ${median} ms`);
});

test('a slow server never has two requests open, and rests as long as it worked', { skip }, async () => {
  const answered = [];
  let open = 0;
  let mostOpen = 0;
  jobs.respond = (_, response) => {
    open += 1;
    mostOpen = Math.max(mostOpen, open);
    setTimeout(() => {
      open -= 1;
      answered.push(performance.now());
      send(response, jobs.record);
    }, 900);
    return true;
  };
  await follow();
  await pause(4500);
  const pauses = jobs
    .polls()
    .slice(1)
    .map(({ at }, index) => at - answered[index]);
  assert.equal(mostOpen, 1);
  assert.ok(pauses.length >= 2);
  assert.ok(Math.min(...pauses) >= 700, `pauses of ${pauses} ms`);
});

test('an unchanged job is answered with 304, and told once', { skip }, async () => {
  const answers = [];
  jobs.respond = (request, response) => {
    const known = request.headers['if-none-match'] === '"7"';
    answers.push(known ? 304 : 200);
    if (known) response.writeHead(304, { ETag: '"7"', 'Cache-Control': 'no-store' }).end();
    else send(response, jobs.record, 200, { ETag: '"7"' });
    return true;
  };
  await follow({ pollInterval: 100 });
  await pause(2500);
  assert.ok(answers.length >= 20);
  assert.ok(answers.filter((status) => status === 304).length >= answers.length * 0.9, `${answers}`);
  assert.equal(await page.evaluate(() => globalThis.told.filter(([name]) => name === 'onProgress').length), 1);
});

test('at the end each callback and event has come once, and nothing more is asked', { skip }, async () => {
  await follow({ pollInterval: 50 });
  await state('running');
  await page.evaluate(() => {
    globalThis.announced = [];
    new MutationObserver(() => globalThis.announced.push(document.querySelector('[role=status]').textContent)).observe(
      document.querySelector('[role=status]'),
      { childList: true },
    );
  });
  jobs.record = completed();
  await state('completed');
  await pause(100);
  const asked = jobs.requests.length;
  await pause(1500);
  assert.equal(jobs.requests.length, asked);
  assert.deepEqual(await page.evaluate(() => globalThis.told), [
    ['onStart', 'running', true],
    ['start', 'running', 'place'],
    ['onProgress', 'running', true],
    ['progress', 'running', 'place'],
    ['onProgress', 'completed', false],
    ['progress', 'completed', 'place'],
    ['onComplete', 'completed', false],
    ['complete', 'completed', 'place'],
    ['onSettled', 'completed', false],
    ['settled', 'completed', 'place'],
  ]);
  assert.deepEqual(await page.evaluate(() => globalThis.announced), ['Sending invoices: Completed (12 s)']);
  assert.equal(await page.evaluate(() => widget.finished.then(({ status }) => status)), 'completed');
});

test('a screen reader hears the start and each step once', { skip }, async () => {
  await page.evaluate(() => {
    globalThis.announced = [];
    new MutationObserver(() => {
      const text = document.querySelector('[role=status]')?.textContent;
      if (text && text !== globalThis.announced.at(-1)) globalThis.announced.push(text);
    }).observe(document.body, { childList: true, subtree: true });
  });
  jobs.record = running(10);
  await follow({ pollInterval: 50 });
  for (const processed of [10, 20, 26, 27, 49, 51, 60]) {
    jobs.record = running(processed);
    await page.waitForSelector(`#place [aria-valuenow="${processed}"]`);
  }
  assert.deepEqual(await page.evaluate(() => globalThis.announced), [
    'Sending invoices: Running, 10%',
    'Sending invoices: Running, 26%',
    'Sending invoices: Running, 51%',
  ]);
});

test('the fill is as wide as the percentage says, from left or right', { skip }, async () => {
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await follow();
  await state('running');
  const covered = () =>
    page.evaluate(() => {
      const [track, fill] = ['track', 'fill'].map((part) =>
        document.querySelector(`.progress-polling-${part}`).getBoundingClientRect(),
      );
      return [fill.right - track.left, track.right - fill.left].map((width) => Math.round((100 * width) / track.width));
    });
  assert.deepEqual(await covered(), [42, 158]);
  await page.evaluate(() => (document.documentElement.dir = 'rtl'));
  assert.deepEqual(await covered(), [158, 42]);
});

test('cancel asks the server once, and shows what came of it', { skip }, async () => {
  jobs.respond = (request, response) => {
    if (request.method !== 'POST') return false;
    jobs.record = running(42, { cancel_requested: true, version: 100 });
    send(response, {}, 202);
    return true;
  };
  await follow({ allowCancel: true, pollInterval: 50 });
  await page.click('#place button:text("Cancel")');
  await state('cancelling');
  jobs.record = { ...jobs.record, status: 'cancelled', version: 101 };
  await state('cancelled');
  assert.deepEqual(
    jobs.requests.filter(({ method }) => method === 'POST').map(({ path }) => path),
    ['/progress/a-job/cancel'],
  );
  assert.equal(await page.locator('#place button:visible').count(), 0);
});

test('a cancellation that fails is told, and can be repeated', { skip }, async () => {
  jobs.respond = (request, response) => request.method === 'POST' && (send(response, {}, 503), true);
  await follow({ allowCancel: true, pollInterval: 50 });
  await page.click('#place button:text("Cancel")');
  await page.waitForSelector('#place [role=alert]:text("could not be cancelled")');
  assert.equal(await page.locator('#place button:text("Cancel")').isEnabled(), true);
  // What it says stays; other trouble is told nevertheless.
  jobs.respond = (_, response) => (send(response, {}, 503), true);
  await page.waitForSelector('#place [role=status]:text("Server not available")', { state: 'attached' });
});

test('a cancellation that comes too late, or cannot be sent any more', { skip }, async () => {
  await page.evaluate(() => {
    globalThis.alerts = [];
    new MutationObserver(() => {
      const text = document.querySelector('#place [role=alert]')?.textContent;
      if (text) globalThis.alerts.push(text);
    }).observe(document.getElementById('place'), { subtree: true, childList: true, characterData: true });
  });
  let status = 409;
  jobs.respond = (request, response) => request.method === 'POST' && (send(response, {}, status), true);
  await follow({ allowCancel: true, pollInterval: 400 });
  await state('running');
  const conflict = page.waitForResponse((response) => response.status() === 409);
  await page.click('#place button:text("Cancel")');
  await conflict;
  jobs.record = completed();
  await state('completed');
  assert.deepEqual(await page.evaluate(() => globalThis.alerts), []);

  jobs.record = running(42);
  status = 503;
  await follow({ allowCancel: true, pollInterval: 400 });
  await state('running');
  await page.evaluate(() => globalThis.widget.stop());
  await page.click('#place button:text("Cancel")');
  await page.waitForSelector('#place [role=alert]:text("could not be cancelled")');
  assert.equal(await page.locator('#place button:text("Cancel")').isEnabled(), true);
});

test('a bar may be in a document of its own', { skip }, async () => {
  const styled = await page.evaluate(async () => {
    const frame = document.body.appendChild(document.createElement('iframe'));
    const place = frame.contentDocument.body.appendChild(frame.contentDocument.createElement('div'));
    const element = document.body.appendChild(document.createElement('progress-poller'));
    element.setAttribute('job-id', 'a-job');
    frame.contentDocument.body.append(element);
    new ProgressPolling(place, 'a-job');
    await new Promise((resolve) => place.addEventListener('progress-polling:progress', resolve, { once: true }));
    return [place, element].map((parent) => {
      const bar = parent.querySelector('[data-state=running] .progress-polling-bar');
      return bar && frame.contentWindow.getComputedStyle(bar).display;
    });
  });
  assert.deepEqual(styled, ['flex', 'flex']);
});

test('after giving up, Try again tries again and keeps the focus', { skip }, async () => {
  jobs.respond = (_, response) => (send(response, {}, 403), true);
  await follow();
  await state('lost');
  assert.equal(await page.locator('#place [role=alert]').textContent(), 'Access refused.');
  jobs.respond = null;
  await page.focus('#place button:visible');
  await page.keyboard.press('Enter');
  await state('running');
  assert.equal(await page.evaluate(() => document.querySelector('.progress-polling') === document.activeElement), true);
});

test('offline nothing is asked; back online it goes on at once', { skip }, async () => {
  await follow({ pollInterval: 100 });
  await state('running');
  await page.context().setOffline(true);
  await state('offline');
  const asked = jobs.requests.length;
  await pause(1000);
  assert.equal(jobs.requests.length, asked);
  await page.context().setOffline(false);
  const back = performance.now();
  await state('running');
  assert.ok(performance.now() - back < 500);
});

test('the bars of a page share one request', { skip }, async () => {
  await page.evaluate(() => {
    for (const id of ['one', 'two', 'three']) {
      const element = document.body.appendChild(document.createElement('progress-poller'));
      element.setAttribute('job-id', id);
    }
    new ProgressPolling('place', 'four');
  });
  await page.waitForFunction(() => document.querySelectorAll('[aria-valuenow="42"]').length === 4);
  assert.deepEqual(
    jobs.polls().map(({ ids }) => ids),
    [['one', 'two', 'three', 'four']],
  );
  jobs.record = completed();
  await page.waitForFunction(() => document.querySelectorAll('[data-state=completed]').length === 4);
  assert.ok(jobs.polls().length <= 4, `${jobs.polls().length} requests`);
});

test('an element may be given, an unknown id is named, and a second widget replaces the first', { skip }, async () => {
  assert.match(
    await page.evaluate(() => {
      try {
        new ProgressPolling('nowhere', 'a-job');
      } catch (error) {
        return `${error.name}: ${error.message}`;
      }
    }),
    /^TypeError: .*"nowhere"/,
  );
  await follow({ pollInterval: 50 });
  await page.evaluate(
    () => (globalThis.second = new ProgressPolling(document.getElementById('place'), 'another', { pollInterval: 50 })),
  );
  const ofFirst = () => jobs.polls().filter(({ path }) => path.endsWith('/a-job')).length;
  await pause(100);
  const asked = ofFirst();
  await pause(300);
  assert.equal(ofFirst(), asked);
  assert.equal(await page.locator('.progress-polling').count(), 1);
  assert.ok(jobs.polls().some(({ path }) => path.endsWith('/another')));
});

test('a refreshed page resumes its job until the job has ended', { skip }, async () => {
  await follow({ persist: true, pollInterval: 50 });
  await state('running');
  await page.reload();
  jobs.record = running(43);
  const shown = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const values = [];
        const place = document.getElementById('place');
        new MutationObserver(() => {
          const value = place.querySelector('[role=progressbar]')?.ariaValueNow;
          if (value) values.push(Number(value));
        }).observe(place, { subtree: true, childList: true, attributes: true });
        ProgressPolling.resume('place', { pollInterval: 50 });
        setTimeout(() => resolve(values), 1000);
      }),
  );
  assert.ok(shown.length > 0 && Math.min(...shown) >= 42, `${shown}`);
  jobs.record = completed();
  await state('completed');
  await page.reload();
  assert.equal(await page.evaluate(() => ProgressPolling.resume('place')), null);
});

test('the page reloads when the job completes under its eyes, and not again', { skip }, async () => {
  let loads = 1;
  page.on('load', () => (loads += 1));
  await page.addInitScript(() =>
    addEventListener(
      'DOMContentLoaded',
      () => new ProgressPolling('place', 'a-job', { reloadOnComplete: true, pollInterval: 50 }),
    ),
  );
  await follow({ reloadOnComplete: true, pollInterval: 50 });
  await state('running');
  jobs.record = completed();
  await state('completed');
  await pause(1000);
  assert.equal(loads, 2);
});

test('the page goes elsewhere when the job completes, but never runs a script instead', { skip }, async () => {
  await follow({ redirectOnComplete: 'javascript:document.title="ran"', pollInterval: 50 });
  await state('running');
  jobs.record = completed();
  await state('completed');
  assert.equal(await page.title(), 'A page with a job');
  jobs.record = running(1, { version: 1 });
  await follow({ redirectOnComplete: '/pages/linked.html', pollInterval: 50 });
  await state('running');
  jobs.record = completed();
  await page.waitForURL('**/pages/linked.html');
});

test('a completed job is hidden after a while, if that is wished', { skip }, async () => {
  jobs.record = completed();
  await follow({ autoHideOnComplete: true, autoHideDelay: 200 });
  await page.waitForSelector('#place [data-state=completed]', { state: 'attached' });
  await page.waitForSelector('#place .progress-polling', { state: 'hidden', timeout: 2000 });
});

test('the element follows the job while it is in the page', { skip }, async () => {
  await page.evaluate(() => {
    const element = document.createElement('progress-poller');
    element.setAttribute('job-id', 'first');
    element.setAttribute('poll-interval', '50');
    element.setAttribute('heading', 'Mail');
    element.setAttribute('show-details', 'false');
    element.append('Please wait.');
    document.body.append(element);
  });
  await page.waitForSelector('progress-poller [data-state=running]');
  assert.equal(await page.locator('progress-poller .ui.header').textContent(), 'Mail');
  assert.equal(await page.locator('progress-poller .ui.statistics').count(), 0);
  await page.evaluate(() => document.querySelector('progress-poller').setAttribute('job-id', 'second'));
  await pause(200);
  assert.equal(jobs.requests.at(-1).path, '/progress/second');
  await page.evaluate(() => document.querySelector('progress-poller').remove());
  await pause(100);
  const asked = jobs.requests.length;
  await pause(300);
  assert.equal(jobs.requests.length, asked);
});

test('the attributes of an element are its options', { skip }, async () => {
  const shown = (attributes) =>
    page.evaluate(async (given) => {
      const element = document.createElement('progress-poller');
      for (const [name, value] of Object.entries(given)) element.setAttribute(name, value);
      document.body.replaceChildren(element);
      await new Promise((resolve) => element.addEventListener('progress-polling:progress', resolve, { once: true }));
      const part = (name) => element.querySelector(`.progress-polling-${name}`);
      return {
        title: part('title').textContent,
        details: part('statistics') !== null,
        caption: !part('caption').hidden,
        cancel: part('button')?.textContent === 'Cancel',
        log: part('log-box') !== null,
        asked: location.origin && element.progressPolling.url,
      };
    }, attributes);
  const usual = {
    title: 'Sending invoices',
    details: true,
    caption: true,
    cancel: false,
    log: false,
    asked: '/progress/x',
  };
  assert.deepEqual(await shown({ 'job-id': 'x' }), usual);
  // What a template leaves empty is not there; an identifier or a title of digits stays as it is.
  assert.deepEqual(
    await shown({
      'job-id': '007',
      heading: '1e3',
      url: '',
      endpoint: '',
      icon: '',
      lang: '',
      'redirect-on-complete': '',
    }),
    { ...usual, title: '1e3', asked: '/progress/007' },
  );
  assert.deepEqual(
    await shown({
      'job-id': 'x',
      'show-details': 'false',
      'show-stats': 'false',
      'allow-cancel': '',
      'show-log': 'true',
    }),
    { ...usual, details: false, caption: false, cancel: true, log: true },
  );
  const asked = jobs.polls().length;
  await shown({ 'job-id': 'x', 'poll-interval': 'soon', 'announce-step': 'often' });
  await pause(500);
  assert.ok(jobs.polls().length - asked <= 2, 'an interval that is no number is no flood');
});

test(
  'a callback that throws is reported, and neither stops the polling nor the other callbacks',
  { skip },
  async () => {
    const reported = [];
    page.on('pageerror', ({ message }) => reported.push(message));
    await page.evaluate(() => {
      globalThis.called = [];
      const callback = (name) => (data) => {
        globalThis.called.push(`${name} ${data.status}`);
        throw new Error(`a mistake in ${name}`);
      };
      const names = ['onStart', 'onProgress', 'onComplete', 'onSettled'];
      const callbacks = Object.fromEntries(names.map((name) => [name, callback(name)]));
      new ProgressPolling('place', 'a-job', { ...callbacks, pollInterval: 50 });
    });
    await state('running');
    jobs.record = completed();
    await state('completed');
    const called = await page.evaluate(() => globalThis.called);
    assert.deepEqual(called, [
      'onStart running',
      'onProgress running',
      'onProgress completed',
      'onComplete completed',
      'onSettled completed',
    ]);
    assert.deepEqual(
      reported,
      called.map((line) => `a mistake in ${line.split(' ')[0]}`),
    );
  },
);

test('what the server says of a lost worker is said in the language of the page', { skip }, async () => {
  await page.evaluate(() => (document.documentElement.lang = 'fr'));
  const reason = async (error_message) => {
    jobs.record = running(42, { status: 'failed', error_message });
    await follow();
    await state('failed');
    return page.locator('#place [role=alert]').textContent();
  };
  assert.equal(await reason('worker lost'), 'Le processus a disparu.');
  assert.equal(await reason('the worker stopped before finishing'), 'Le processus s’est arrêté avant la fin.');
  // Words of the application stay as they are, also where they are the name of one of our own texts.
  for (const words of ['No mail server for {number}', 'timeout', 'toString', 'has own property']) {
    assert.equal(await reason(words), words);
  }
  assert.equal(await reason(null), 'Échec');
});

test('silence is counted on the clock of the page, from when it was noticed', { skip }, async () => {
  const line = () => page.locator('#place .progress-polling-message').textContent();
  await follow({ pollInterval: 50 });
  await state('running');
  jobs.record = running(42, { stale: true, version: 100 });
  await state('stale');
  assert.equal(await line(), 'No sign of life for 15 s');
  await page.waitForSelector('#place .progress-polling-message:text("No sign of life for 17 s")');
  jobs.record = running(43, { version: 101 });
  await state('running');
  jobs.record = running(43, { stale: true, version: 102 });
  await state('stale');
  assert.equal(await line(), 'No sign of life for 15 s');
});

test('a log is read at its end, and stays where it was scrolled to', { skip }, async () => {
  const add = (count) => {
    for (let index = 0; index < count; index += 1) {
      const seq = jobs.entries.length + 1;
      jobs.entries.push({ seq, at: '2026-03-02T09:14:03.120Z', level: 'info', item: `item ${seq}`, message: 'done' });
    }
    jobs.record = running(42, { version: 1000 + jobs.entries.length });
  };
  add(80);
  await follow({ showLog: true, pollInterval: 50 });
  const box = page.locator('#place .progress-polling-log-box');
  const lastIsSeen = () =>
    box.evaluate((node) => {
      const { bottom } = node.getBoundingClientRect();
      return node.querySelector('li:last-child').getBoundingClientRect().bottom <= bottom + 1;
    });
  await page.waitForSelector('#place li:has-text("item 80")');
  assert.equal(await lastIsSeen(), true);
  add(20);
  await page.waitForSelector('#place li:has-text("item 100")');
  assert.equal(await lastIsSeen(), true);
  const firstSeen = () =>
    box.evaluate((node) => {
      const { top } = node.getBoundingClientRect();
      return [...node.querySelectorAll('li')].find((item) => item.getBoundingClientRect().top >= top).textContent;
    });
  await box.evaluate((node) => (node.scrollTop = -400));
  const before = await firstSeen();
  add(20);
  await page.waitForSelector('#place li:has-text("item 120")', { state: 'attached' });
  assert.equal(await firstSeen(), before);
  assert.equal(await lastIsSeen(), false);
});

test('an element that was there before the module begins once', { skip }, async () => {
  await page.goto(`${jobs.origin}/pages/late.html`);
  await page.waitForSelector('progress-poller [data-state=running]');
  await pause(200);
  assert.equal(jobs.polls().filter(({ path }) => path === '/progress/early').length, 1);
  assert.equal(
    await page.evaluate(() => document.querySelector('progress-poller').progressPolling.snapshot.processed_items),
    42,
  );
});

test('a skin names the parts as its framework does', { skip }, async () => {
  const classes = { semantic: '.ui.button', bootstrap: '.btn', plain: '.progress-polling-button' };
  for (const [skin, button] of Object.entries(classes)) {
    await follow({ skin, allowCancel: true });
    await page.waitForSelector(`#place ${button}:visible`);
    assert.equal((await page.locator('#place .ui').count()) > 0, skin === 'semantic');
    assert.equal((await page.locator('#place .card').count()) > 0, skin === 'bootstrap');
  }
});

test('data-theme wins over the preference of the reader', { skip }, async () => {
  const scheme = () => page.locator('.progress-polling').evaluate((node) => getComputedStyle(node).backgroundColor);
  await page.emulateMedia({ colorScheme: 'dark' });
  await follow();
  const dark = await scheme();
  await page.evaluate(() => (document.documentElement.dataset.theme = 'light'));
  assert.equal(await scheme(), 'rgb(255, 255, 255)');
  await page.emulateMedia({ colorScheme: 'light' });
  await page.evaluate(() => (document.documentElement.dataset.theme = 'dark'));
  assert.equal(await scheme(), dark);
});

test('a linked style sheet is not injected again; a missing one is, once', { skip }, async () => {
  await follow();
  await page.evaluate(() => new ProgressPolling(document.body.appendChild(document.createElement('div')), 'a-job'));
  assert.equal(await page.evaluate(() => document.adoptedStyleSheets.length), 1);
  await page.goto(`${jobs.origin}/pages/linked.html`);
  await follow();
  assert.equal(await page.evaluate(() => document.adoptedStyleSheets.length), 0);
});

test('nothing below the widget moves from the first moment to the end', { skip }, async () => {
  jobs.respond = () => true; // no answer yet
  await page.evaluate(() => document.getElementById('place').after('Below'));
  const height = () => page.locator('#place .progress-polling').evaluate((node) => node.offsetHeight);
  for (const width of [1000, 460, 400, 360, 320]) {
    await page.setViewportSize({ width, height: 600 });
    jobs.respond = () => true;
    await follow({ allowCancel: true, pollInterval: 50, requestTimeout: 200, backoffBase: 50 });
    await state('connecting');
    const heights = [await height()];
    jobs.respond = null;
    jobs.record = running(1, { version: 1, current_message: 'word '.repeat(50), estimated_remaining_time: 100 });
    await state('running');
    await page.waitForSelector('#place button:text("Cancel"):visible');
    heights.push(await height());
    jobs.record = running(1, { version: 2, cancel_requested: true });
    await state('cancelling');
    heights.push(await height());
    jobs.record = completed({ failed_items: 12, custom_title: 'Sent' });
    await state('completed');
    assert.equal(await page.locator('#place button:visible').count(), 0);
    heights.push(await height());
    assert.equal(new Set(heights).size, 1, `${width}: ${heights}`);
  }
});

test('a widget made outside the page takes language and style sheet from where it is put', { skip }, async () => {
  const make = (put) =>
    page.evaluate(
      ([code]) =>
        new Promise((resolve) => {
          const place = document.createElement('div');
          const onProgress = () => requestAnimationFrame(() => resolve(place.textContent));
          new ProgressPolling(place, 'a-job', { onProgress, showLog: true, pollInterval: 50 });
          new Function('place', code)(place);
        }),
      [put],
    );
  const french = "const p = document.createElement('p'); p.lang = 'fr'; p.append(place); document.body.append(p);";
  assert.match(await make(french), /En cours/);
  assert.match(await make('document.body.append(place)'), /Running/);
  await page.goto(`${jobs.origin}/pages/linked.html`);
  await make('document.body.append(place)');
  assert.equal(await page.evaluate(() => document.adoptedStyleSheets.length), 0);

  // Put into the page long after the job was first seen.
  jobs.entries.push({ seq: 1, at: '2026-03-02T09:14:03.120Z', level: 'info', message: 'email sent' });
  await make("setTimeout(() => { document.body.lang = 'fr'; document.body.append(place); }, 300)");
  await page.waitForSelector('.progress-polling[lang=fr]:has-text("En cours")');
  jobs.record = running(50);
  await page.waitForSelector('.progress-polling[lang=fr] li:has-text("email sent")');
});

test('an element says its title by its heading, not by what a mouse sees', { skip }, async () => {
  await page.evaluate(() => {
    const element = document.createElement('progress-poller');
    for (const [name, value] of [
      ['job-id', 'x'],
      ['heading', 'Mail'],
      ['title', 'A tooltip'],
    ]) {
      element.setAttribute(name, value);
    }
    document.body.replaceChildren(element);
  });
  assert.equal(await page.locator('.progress-polling-title').textContent(), 'Mail');
});

test('an option that is null means its default, also for those who share the way to the server', { skip }, async () => {
  await follow({ headers: null, credentials: null, lang: null });
  await state('running');
});

test('an address to go to that is none harms neither the ending nor the other bars', { skip }, async () => {
  jobs.respond = (request, response) => {
    const ids = new URL(request.url, 'http://localhost').searchParams.get('ids')?.split(',');
    const recordOf = (id) => ({ ...(id === 'a-job' ? jobs.record : running(7)), job_id: id });
    if (ids) send(response, { jobs: ids.map(recordOf) });
    else send(response, recordOf(request.url.split('/').at(-1)));
    return true;
  };
  await page.evaluate(() => {
    const other = document.body.appendChild(document.createElement('div'));
    other.id = 'other';
    new ProgressPolling(other, 'other', { pollInterval: 50 });
  });
  await follow({ pollInterval: 50, redirectOnComplete: 'http://' });
  // Another mistake of a page, that even the drawing stumbles over.
  await page.evaluate(() => {
    const broken = document.body.appendChild(document.createElement('div'));
    new ProgressPolling(broken, 'a-job', { pollInterval: 50, messages: { completed: 7 } });
  });
  await state('running');
  jobs.record = completed();
  await state('completed');
  const asked = jobs.requests.length;
  await pause(500);
  assert.ok(jobs.requests.length > asked + 3);
  assert.ok((await page.evaluate(() => globalThis.told)).some(([name]) => name === 'onSettled'));
});

test('a page that is not told to persist stores nothing', { skip }, async () => {
  jobs.record = completed();
  await follow();
  await state('completed');
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});
