import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completed, running, send } from '../support/jobs.mjs';
import { follow, jobs, page, skip, state } from '../support/page.mjs';
import { pause, until } from '../support/patience.mjs';

test('the fill is as wide as the percentage, from left or right', { skip }, async () => {
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await follow();
  await state('running');
  const covered = () =>
    page.evaluate(() => {
      const [track, fill] = ['track', 'fill'].map((part) =>
        document.querySelector(`.progress-polling-${part}`).getBoundingClientRect(),
      );
      return [fill.right - track.left, track.right - fill.left].map((width) =>
        Math.round((100 * width) / track.width),
      );
    });
  assert.deepEqual(await covered(), [42, 158]);
  await page.evaluate(() => (document.documentElement.dir = 'rtl'));
  assert.deepEqual(await covered(), [158, 42]);
});

test('a bar works in the document of a frame', { skip }, async () => {
  const styled = await page.evaluate(async () => {
    const frame = document.body.appendChild(document.createElement('iframe'));
    const place = frame.contentDocument.body.appendChild(
      frame.contentDocument.createElement('div'),
    );
    const element = document.body.appendChild(document.createElement('progress-poller'));
    element.setAttribute('job-id', 'a-job');
    frame.contentDocument.body.append(element);
    new ProgressPolling(place, 'a-job');
    await new Promise((resolve) =>
      place.addEventListener('progress-polling:progress', resolve, { once: true }),
    );
    return [place, element].map((parent) => {
      const bar = (parent.shadowRoot ?? parent).querySelector(
        '[data-state=running] .progress-polling-bar',
      );
      return bar && frame.contentWindow.getComputedStyle(bar).display;
    });
  });
  assert.deepEqual(styled, ['flex', 'flex']);
});

test('an element as target, an unknown id, and a second widget', { skip }, async () => {
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
    () =>
      (globalThis.second = new ProgressPolling(document.getElementById('place'), 'another', {
        pollInterval: 50,
      })),
  );
  const ofFirst = () => jobs.polls().filter(({ path }) => path.endsWith('/a-job')).length;
  await pause(100);
  const asked = ofFirst();
  await pause(300);
  assert.equal(ofFirst(), asked);
  assert.equal(await page.locator('.progress-polling').count(), 1);
  assert.ok(jobs.polls().some(({ path }) => path.endsWith('/another')));
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
  const part = (name) => page.locator(`progress-poller .progress-polling-${name}`);
  assert.equal(await part('title').textContent(), 'Mail');
  assert.equal(await part('statistics').count(), 0);
  await page.evaluate(() =>
    document.querySelector('progress-poller').setAttribute('job-id', 'second'),
  );
  await until(
    () => jobs.requests.at(-1).path === '/progress/second',
    'a request for the other job',
  );
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
      await new Promise((resolve) =>
        element.addEventListener('progress-polling:progress', resolve, { once: true }),
      );
      const part = (name) => element.shadowRoot.querySelector(`.progress-polling-${name}`);
      return {
        title: part('title').textContent,
        details: part('statistics') !== null,
        caption: !part('caption').hidden,
        cancel: part('button')?.textContent === 'Cancel',
        log: part('log-box') !== null,
        asked: element.progressPolling.url,
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
  // Empty attributes of a template count as missing; an id or title of digits stays a string.
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
  assert.ok(jobs.polls().length - asked <= 2, 'an invalid interval does not flood the server');
});

test('the error of a lost worker is translated', { skip }, async () => {
  await page.evaluate(() => (document.documentElement.lang = 'fr'));
  const reason = async (error_message) => {
    jobs.record = running(42, { status: 'failed', error_message });
    await follow();
    await state('failed');
    return page.locator('#place [role=alert]').textContent();
  };
  assert.equal(await reason('worker lost'), 'Le processus a disparu.');
  assert.equal(
    await reason('the worker stopped before finishing'),
    'Le processus s’est arrêté.',
  );
  // The application's own messages stay unchanged, even if they equal a key of the widget's texts.
  for (const words of ['No mail server for {number}', 'timeout', 'toString', 'has own property']) {
    assert.equal(await reason(words), words);
  }
  assert.equal(await reason(null), 'Échec');
});

test('the log stays at its end, or where the reader has scrolled to', { skip }, async () => {
  const add = (count) => {
    for (let index = 0; index < count; index += 1) {
      const seq = jobs.entries.length + 1;
      jobs.entries.push({
        seq,
        at: '2026-03-02T09:14:03.120Z',
        level: 'info',
        item: `item ${seq}`,
        message: 'done',
      });
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
  const cut = await box.evaluate((node) => {
    const top = node.getBoundingClientRect().top + node.clientTop;
    return [...node.querySelectorAll('li')]
      .map((item) => item.getBoundingClientRect())
      .filter((item) => item.top < top - 0.5 && item.bottom > top + 0.5).length;
  });
  assert.equal(cut, 0, 'lines that the upper edge of the log cuts');
  const firstSeen = () =>
    box.evaluate((node) => {
      const { top } = node.getBoundingClientRect();
      const items = [...node.querySelectorAll('li')];
      return items.find((item) => item.getBoundingClientRect().top >= top).textContent;
    });
  await box.evaluate((node) => (node.scrollTop = -400));
  const before = await firstSeen();
  add(20);
  await page.waitForSelector('#place li:has-text("item 120")', { state: 'attached' });
  assert.equal(await firstSeen(), before);
  assert.equal(await lastIsSeen(), false);
});

test('an element that precedes the module starts once', { skip }, async () => {
  // Polls only once, so that a second request would come from a second bar.
  jobs.record = running(42, { poll_after_ms: 60_000 });
  await page.goto(`${jobs.origin}/pages/late.html`);
  await page.waitForSelector('progress-poller [data-state=running]');
  await pause(200);
  assert.equal(jobs.polls().filter(({ path }) => path === '/progress/early').length, 1);
  assert.equal(
    await page.evaluate(() =>
      document.querySelector('progress-poller').progressPolling.snapshot.processed_items,
    ),
    42,
  );
});

test('a skin adds the class names of its framework', { skip }, async () => {
  const classes = { semantic: '.ui.button', bootstrap: '.btn', plain: '.progress-polling-button' };
  for (const [skin, button] of Object.entries(classes)) {
    await follow({ skin, allowCancel: true });
    await page.waitForSelector(`#place ${button}:visible`);
    assert.equal((await page.locator('#place .ui').count()) > 0, skin === 'semantic');
    assert.equal((await page.locator('#place .card').count()) > 0, skin === 'bootstrap');
  }
});

test('the color scheme follows the page, or its data-theme', { skip }, async () => {
  const background = () =>
    page.locator('.progress-polling').evaluate((node) => getComputedStyle(node).backgroundColor);
  const light = 'rgb(255, 255, 255)';
  await page.emulateMedia({ colorScheme: 'dark' });
  await follow();
  assert.equal(await background(), light, 'a page that is light for every reader');
  await page.evaluate(() => (document.documentElement.style.colorScheme = 'light dark'));
  const dark = await background();
  assert.notEqual(dark, light);
  await page.evaluate(() => (document.documentElement.dataset.theme = 'light'));
  assert.equal(await background(), light);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.evaluate(() => (document.documentElement.dataset.theme = 'dark'));
  assert.equal(await background(), dark);
});

test('the nearest data-theme applies', { skip }, async () => {
  const scheme = () =>
    page.locator('.progress-polling').evaluate((node) => getComputedStyle(node).backgroundColor);
  await follow();
  for (const [outer, inner] of [
    ['dark', 'light'],
    ['light', 'dark'],
  ]) {
    const seen = await page
      .evaluate(
        ([one, other]) => {
          document.documentElement.dataset.theme = one;
          document.body.dataset.theme = other;
        },
        [outer, inner],
      )
      .then(scheme);
    assert.equal(seen === 'rgb(255, 255, 255)', inner === 'light');
  }
});

test('content that is parsed after the bar was drawn is not shown', { skip }, async () => {
  // The script comes first, so that the bar is drawn before the element's content is parsed.
  await page.goto(`${jobs.origin}/pages/strict.html`);
  await page.waitForSelector('#element [data-state=running]');
  const { shown, height } = await page.locator('#element').evaluate((element) => ({
    shown: element.innerText,
    height: element.offsetHeight - element.shadowRoot.firstChild.offsetHeight,
  }));
  assert.deepEqual([shown, height], ['', 0]);
});

test('an attribute cannot replace functions such as fetch and the clock', { skip }, async () => {
  await page.evaluate(() => {
    const element = document.createElement('progress-poller');
    for (const name of ['fetch', 'clock', 'random', 'headers', 'messages', 'on-progress', 'root'])
      element.setAttribute(name, 'x');
    element.setAttribute('job-id', 'a-job');
    document.body.append(element);
  });
  await page.waitForSelector('progress-poller [data-state=running]');
});

test('a hidden element is not visible', { skip }, async () => {
  await page.evaluate(() => {
    document.body.innerHTML = '<progress-poller job-id="a-job" hidden></progress-poller>';
  });
  await page.waitForSelector('progress-poller [data-state=running]', { state: 'attached' });
  assert.equal(await page.locator('progress-poller').isVisible(), false);
  await page.evaluate(() => (document.querySelector('progress-poller').hidden = false));
  assert.equal(await page.locator('progress-poller').isVisible(), true);
});

test('the style sheet is added once, and not if it is linked', { skip }, async () => {
  await follow();
  await page.evaluate(() =>
    new ProgressPolling(document.body.appendChild(document.createElement('div')), 'a-job'),
  );
  assert.equal(await page.evaluate(() => document.adoptedStyleSheets.length), 1);
  await page.goto(`${jobs.origin}/pages/linked.html`);
  await follow();
  assert.equal(await page.evaluate(() => document.adoptedStyleSheets.length), 0);
});

test('nothing below the widget moves from start to end', { skip }, async () => {
  await page.evaluate(() => document.getElementById('place').after('Below'));
  const height = () =>
    page.locator('#place .progress-polling').evaluate((node) => node.offsetHeight);
  for (const width of [1000, 460, 400, 360, 320]) {
    await page.setViewportSize({ width, height: 600 });
    const waiting = [];
    jobs.respond = (_, response) => waiting.push(response);
    await follow({ allowCancel: true, pollInterval: 50 });
    await state('connecting');
    const heights = [await height()];
    jobs.respond = null;
    jobs.record = running(1, {
      version: 1,
      current_message: 'word '.repeat(50),
      estimated_remaining_time: 100,
    });
    for (const response of waiting) send(response, jobs.record);
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

test('a widget created outside the page adapts to where it is inserted', { skip }, async () => {
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
  const french =
    "const p = document.createElement('p'); p.lang = 'fr'; p.append(place); " +
    'document.body.append(p);';
  assert.match(await make(french), /En cours/);
  assert.match(await make('document.body.append(place)'), /Running/);
  await page.goto(`${jobs.origin}/pages/linked.html`);
  await make('document.body.append(place)');
  assert.equal(await page.evaluate(() => document.adoptedStyleSheets.length), 0);

  // Inserted into the page long after the first response.
  jobs.entries.push({
    seq: 1,
    at: '2026-03-02T09:14:03.120Z',
    level: 'info',
    message: 'email sent',
  });
  await make("setTimeout(() => { document.body.lang = 'fr'; document.body.append(place); }, 300)");
  await page.waitForSelector('.progress-polling[lang=fr]:has-text("En cours")');
  jobs.record = running(50);
  await page.waitForSelector('.progress-polling[lang=fr] li:has-text("email sent")');
});

test('the title of an element is its heading, not its tooltip', { skip }, async () => {
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

test('the result of a completed job is a link, if it is safe', { skip }, async () => {
  const link = page.locator('#place .progress-polling-result');
  const shown = async (result, more) => {
    jobs.record = completed({ result, ...more });
    await follow();
    await page.waitForSelector('#place [data-state]:not([data-state=connecting])');
    return (await link.isVisible()) && [await link.textContent(), await link.getAttribute('href')];
  };
  const { origin } = jobs;
  assert.deepEqual(await shown({ href: '/reports/7', label: 'Report' }), [
    'Report',
    `${origin}/reports/7`,
  ]);
  assert.deepEqual(await shown({ href: 'https://files.example/7?a=b#c' }), [
    'View result',
    'https://files.example/7?a=b#c',
  ]);
  assert.deepEqual(await shown({ href: `${origin}/x`, label: { a: 1 } }), [
    'View result',
    `${origin}/x`,
  ]);
  const nothing = [
    null,
    7,
    'https://files.example/',
    [],
    ['https://files.example/'],
    {},
    { label: 'Report' },
    { href: '' },
    { href: ' ' },
    { href: 7 },
    { href: ['/reports/7'] },
    { href: { href: '/reports/7' } },
    { href: 'javascript:alert(1)' },
    { href: 'http://files.example/' },
    { href: 'https://' },
    { href: 'mailto:a@example.com' },
  ];
  for (const result of nothing) assert.equal(await shown(result), false, JSON.stringify(result));
  for (const status of ['running', 'failed', 'cancelled'])
    assert.equal(await shown({ href: '/reports/7' }, { status }), false, status);
  await page.evaluate(() => (document.documentElement.lang = 'fr'));
  assert.equal((await shown({ href: '/reports/7' }))[0], 'Voir le résultat');
});

test('a compact bar is one line where there is room', { skip }, async () => {
  await page.evaluate(() => {
    document.body.innerHTML =
      '<progress-poller job-id="a-job" compact allow-cancel poll-interval="50"></progress-poller>';
  });
  jobs.record = running(42, { failed_items: 3 });
  await page.waitForSelector('progress-poller [data-state=running]');
  const height = () => page.locator('progress-poller').evaluate((node) => node.offsetHeight);
  const heights = [];
  for (const width of [1280, 700]) {
    await page.setViewportSize({ width, height: 600 });
    heights.push(await height());
  }
  assert.ok(Math.max(...heights) < 60, `${heights}`);
  const part = (name) => page.locator(`progress-poller .progress-polling-${name}`);
  assert.equal(await part('badge').textContent(), 'Running - 3 errors');
  assert.equal(await part('percent').isVisible(), true);
  assert.equal(await part('message').isVisible(), false);
  assert.equal(await part('statistics').count(), 0);
  jobs.record = completed({ failed_items: 3, result: { href: '/reports/7' } });
  await page.waitForSelector('progress-poller [data-state=completed]');
  assert.equal(await part('result').isVisible(), true);
  assert.equal(await height(), heights.at(-1));
});

test('an option that is null means its default', { skip }, async () => {
  await follow({ headers: null, credentials: null, lang: null });
  await state('running');
});
