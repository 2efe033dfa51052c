import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completed, running, send } from '../support/jobs.mjs';
import { follow, jobs, page, skip, state } from '../support/page.mjs';
import { holdsInThreeTries, pause, until } from '../support/patience.mjs';

test('a fast server is polled every 500 ms', { skip }, async () => {
  const measure = async () => {
    const before = jobs.polls().length;
    await follow();
    await pause(6000);
    const times = jobs
      .polls()
      .slice(before)
      .map(({ at }) => at);
    const gaps = times
      .slice(1)
      .map((at, index) => at - times[index])
      .sort((one, other) => one - other);
    return { requests: times.length, median: gaps[Math.floor(gaps.length / 2)] };
  };
  await holdsInThreeTries(
    measure,
    ({ requests, median }) => requests >= 12 && requests <= 14 && median >= 475 && median <= 525,
  );
});

test('a slow server gets one request at a time, with long pauses', { skip }, async () => {
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
  await until(() => jobs.polls().length >= 3, 'a third request');
  const pauses = jobs
    .polls()
    .slice(1)
    .map(({ at }, index) => at - answered[index]);
  assert.equal(mostOpen, 1);
  assert.ok(Math.min(...pauses) >= 700, `pauses of ${pauses} ms`);
});

test('an unchanged job gets 304 and causes one callback', { skip }, async () => {
  const answers = [];
  jobs.respond = (request, response) => {
    const known = request.headers['if-none-match'] === '"7"';
    answers.push(known ? 304 : 200);
    if (known) response.writeHead(304, { ETag: '"7"', 'Cache-Control': 'no-store' }).end();
    else send(response, jobs.record, 200, { ETag: '"7"' });
    return true;
  };
  await follow({ pollInterval: 100 });
  await until(() => answers.length >= 25, '25 answers');
  assert.ok(
    answers.filter((status) => status === 304).length >= answers.length * 0.9,
    `${answers}`,
  );
  assert.equal(
    await page.evaluate(() => globalThis.told.filter(([name]) => name === 'onProgress').length),
    1,
  );
});

test('each callback and event comes once, and polling stops at the end', { skip }, async () => {
  await follow({ pollInterval: 50 });
  await state('running');
  await page.evaluate(() => {
    globalThis.announced = [];
    const status = document.querySelector('[role=status]');
    new MutationObserver(() => globalThis.announced.push(status.textContent)).observe(status, {
      childList: true,
    });
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
  assert.deepEqual(await page.evaluate(() => globalThis.announced), [
    'Sending invoices: Completed (12 s)',
  ]);
  assert.equal(
    await page.evaluate(() => widget.finished.then(({ status }) => status)),
    'completed',
  );
});

test('a screen reader announces the start and each step once', { skip }, async () => {
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

const cancelled = () => jobs.requests.filter(({ method }) => method === 'POST');
const button = (text) => page.locator(`#place button:visible:text-is("${text}")`);

/** Clicks "Cancel", and "Cancel" again when the widget asks. */
async function cancelTheJob() {
  await button('Cancel').click();
  await page.waitForSelector('#place .progress-polling-confirm:visible');
  await button('Cancel').click();
}

/** Records what the widget states: each pair of badge and alert. */
const recordStatements = () =>
  page.evaluate(() => {
    globalThis.statements = new Set();
    const place = document.getElementById('place');
    const look = () => {
      const [badge, alert] = ['.progress-polling-badge', '[role=alert]'].map(
        (part) => place.querySelector(part)?.textContent,
      );
      globalThis.statements.add(`${badge}|${alert}`);
    };
    new MutationObserver(look).observe(place, {
      subtree: true,
      childList: true,
      characterData: true,
    });
  });
const statements = () => page.evaluate(() => [...globalThis.statements]);

test('the cancel button asks once, sends one request and shows the result', { skip }, async () => {
  jobs.respond = (request, response) => {
    if (request.method !== 'POST') return false;
    jobs.record = running(42, { cancel_requested: true, version: 100 });
    send(response, {}, 202);
    return true;
  };
  await follow({ allowCancel: true, pollInterval: 50 });
  await state('running');
  await page.focus('#place button:text("Cancel")');
  await page.keyboard.press('Enter');
  assert.equal(
    await page.locator('#place .progress-polling-question').textContent(),
    'Cancel the job? Processed: 42.',
  );
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  assert.equal(await focused(), 'Keep');
  await page.keyboard.press('Enter');
  assert.equal(await page.locator('#place .progress-polling-confirm').isVisible(), false);
  assert.equal(await focused(), 'Cancel');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  assert.equal(await focused(), 'Cancel');
  assert.equal(cancelled().length, 0);

  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await state('cancelling');
  assert.equal(
    await page.evaluate(() => document.activeElement.className.split(' ')[0]),
    'progress-polling',
  );
  jobs.record = { ...jobs.record, status: 'cancelled', version: 101 };
  await state('cancelled');
  assert.deepEqual(
    cancelled().map(({ path }) => path),
    ['/progress/a-job/cancel'],
  );
  assert.equal(await page.locator('#place button:visible').count(), 0);
});

test('a cancellation whose answer is lost is looked up in the record', { skip }, async () => {
  jobs.respond = (request, response) => {
    if (request.method !== 'POST') return false;
    jobs.record = running(42, { cancel_requested: true, version: 100 });
    response.destroy();
    return true;
  };
  await follow({ allowCancel: true, pollInterval: 50 });
  await state('running');
  await recordStatements();
  await cancelTheJob();
  await until(() => cancelled().length, 'the request');
  await pause(300);
  await state('cancelling');
  assert.deepEqual(
    (await statements()).filter((statement) => statement !== 'Running|'),
    ['Cancelling…|'],
  );
});

test('a cancellation that is redirected to a login page is no success', { skip }, async () => {
  let signedIn = true;
  jobs.respond = (request, response) => {
    if (request.method === 'POST') signedIn = false;
    if (signedIn) return false;
    response.writeHead(302, { Location: '/pages/linked.html' }).end();
    return true;
  };
  await follow({ allowCancel: true, pollInterval: 50 });
  await state('running');
  await recordStatements();
  await cancelTheJob();
  await state('signed-out');
  signedIn = true;
  await state('running');
  await page.waitForSelector('#place [role=alert]:text("could not be cancelled")');
  await button('Cancel').waitFor();
  for (const statement of await statements())
    assert.doesNotMatch(statement, /^Cancelling.*could not/, 'one statement at a time');
});

test('a failed cancellation is shown and can be repeated', { skip }, async () => {
  jobs.respond = (request, response) =>
    request.method === 'POST' && (send(response, {}, 503), true);
  await follow({ allowCancel: true, pollInterval: 50 });
  await state('running');
  await recordStatements();
  await cancelTheJob();
  await page.waitForSelector('#place [role=alert]:text("could not be cancelled")');
  await button('Cancel').waitFor();
  for (const statement of await statements()) {
    assert.doesNotMatch(statement, /^Cancelling.*could not/);
  }
  // The alert stays, and other problems are still shown.
  jobs.respond = (_, response) => (send(response, {}, 503), true);
  await page.waitForSelector('#place [role=status]:text("Server unavailable")', {
    state: 'attached',
  });
});

test('a cancellation after the end, and one that cannot be sent', { skip }, async () => {
  let status = 409;
  jobs.respond = (request, response) =>
    request.method === 'POST' && (send(response, {}, status), true);
  await follow({ allowCancel: true, pollInterval: 400 });
  await state('running');
  await recordStatements();
  const conflict = page.waitForResponse((response) => response.status() === 409);
  await cancelTheJob();
  await conflict;
  jobs.record = completed();
  await state('completed');
  assert.ok((await statements()).every((statement) => statement.endsWith('|')));

  jobs.record = running(42);
  status = 503;
  await follow({ allowCancel: true, pollInterval: 400 });
  await state('running');
  await page.evaluate(() => globalThis.widget.stop());
  await cancelTheJob();
  await page.waitForSelector('#place [role=alert]:text("could not be cancelled")');
  await button('Cancel').waitFor();
});

test('after giving up, "Retry" polls again and keeps the focus', { skip }, async () => {
  jobs.respond = (_, response) => (send(response, {}, 403), true);
  await follow();
  await state('lost');
  assert.equal(await page.locator('#place [role=alert]').textContent(), 'Access denied.');
  jobs.respond = null;
  await page.focus('#place button:visible');
  await page.keyboard.press('Enter');
  await state('running');
  assert.equal(
    await page.evaluate(
      () => document.querySelector('.progress-polling') === document.activeElement,
    ),
    true,
  );
});

test('an outage is shown offline, and ends at once back online', { skip }, async () => {
  await follow({ pollInterval: 100 });
  const goOn = async () => {
    await state('running');
    await page.context().setOffline(true);
    await state('offline');
    await pause(1000);
    await page.context().setOffline(false);
    const back = performance.now();
    await state('running');
    return performance.now() - back;
  };
  await holdsInThreeTries(goOn, (milliseconds) => milliseconds < 500);
});

test('a browser that says it is offline still reaches this machine', { skip }, async () => {
  await page.evaluate(() => {
    Object.defineProperty(navigator, 'onLine', { value: false });
    dispatchEvent(new Event('offline'));
  });
  await follow({ pollInterval: 50 });
  await state('running');
  jobs.record = completed();
  await state('completed');
});

test('a lost session is shown, told once, and noticed when it is renewed', { skip }, async () => {
  await page.evaluate(() => {
    globalThis.signedOut = [];
    document.addEventListener('progress-polling:signedout', ({ detail }) =>
      globalThis.signedOut.push([detail.data.kind, detail.data.status]),
    );
  });
  await follow({ pollInterval: 50 });
  await state('running');
  jobs.respond = (_, response) => (send(response, {}, 401), true);
  await state('signed-out');
  assert.equal(await page.locator('#place .progress-polling-badge').textContent(), 'Signed out');
  await pause(1500);
  assert.deepEqual(await page.evaluate(() => globalThis.signedOut), [['signed-out', 401]]);
  jobs.respond = null;
  await state('running');

  jobs.respond = (_, response) => (send(response, {}, 401), true);
  await state('signed-out');
  const reloaded = page.waitForEvent('load');
  await button('Reload page').click();
  await reloaded;
});

test('a long Retry-After offers to try again at once', { skip }, async () => {
  await follow({ pollInterval: 50 });
  await state('running');
  jobs.respond = (_, response) => (send(response, {}, 503, { 'Retry-After': '86000' }), true);
  await page.waitForSelector('#place .progress-polling-message:text("Retrying in 23 h 5")');
  const asked = jobs.requests.length;
  jobs.respond = null;
  await button('Retry').click();
  await state('running');
  assert.ok(jobs.requests.length > asked);
});

test('a wrong endpoint shows "Connecting", and the console has its address', { skip }, async () => {
  const warnings = [];
  page.on('console', (message) => message.type() === 'warning' && warnings.push(message.text()));
  await follow({ endpoint: '/elsewhere', notFoundRetries: 50, backoffBase: 50 });
  await until(() => warnings.length, 'a warning');
  await pause(500);
  await state('connecting');
  assert.deepEqual(warnings, ['progress-polling: no record at /elsewhere/a-job (not-found 404).']);
});

test('ten bars announce an outage and its end once', { skip }, async () => {
  await page.evaluate(() => {
    globalThis.announced = [];
    for (let bar = 0; bar < 10; bar += 1) {
      const place = document.body.appendChild(document.createElement('div'));
      new ProgressPolling(place, `job-${bar}`, { pollInterval: 100 });
    }
  });
  const all = (name) =>
    page.waitForFunction(
      (wanted) => document.querySelectorAll(`[data-state=${wanted}]`).length === 10,
      name,
    );
  await all('running');
  await page.evaluate(() => {
    for (const status of document.querySelectorAll('[role=status]')) {
      new MutationObserver(() => globalThis.announced.push(status.textContent)).observe(status, {
        childList: true,
      });
    }
  });
  jobs.respond = (_, response) => (send(response, {}, 503), true);
  await all('reconnecting');
  await pause(1500);
  jobs.respond = null;
  await all('running');
  const announced = await page.evaluate(() => globalThis.announced);
  assert.equal(announced.length, 2, announced.join('; '));
  assert.match(announced[0], /Server unavailable/);
  assert.match(announced[1], /Running/);
});

test('two copies of the script give each bar its own id', { skip }, async () => {
  await page.addScriptTag({ url: '/progress/progress-polling.js?copy' });
  await follow();
  await page.evaluate(async () => {
    const { ProgressPolling: Other } = await import('/progress/progress-polling.mjs');
    new Other(document.body.appendChild(document.createElement('div')), 'a-job');
  });
  const ids = await page.evaluate(() =>
    [...document.querySelectorAll('.progress-polling-title')].map(({ id }) => id),
  );
  assert.equal(ids.length, 2);
  assert.equal(new Set(ids).size, 2);
});

test('the bars of a page share one request', { skip }, async () => {
  await page.evaluate(() => {
    for (const id of ['one', 'two', 'three']) {
      const element = document.createElement('progress-poller');
      // Without a shadow root, so that a selector finds all bars.
      element.setAttribute('skin', 'semantic');
      element.setAttribute('job-id', id);
      document.body.append(element);
    }
    new ProgressPolling('place', 'four');
  });
  await page.waitForFunction(() => document.querySelectorAll('[aria-valuenow="42"]').length === 4);
  jobs.record = completed();
  await page.waitForFunction(
    () => document.querySelectorAll('[data-state=completed]').length === 4,
  );
  for (const { ids } of jobs.polls()) assert.deepEqual(ids.sort(), ['four', 'one', 'three', 'two']);
});

const stored = () => page.evaluate(() => Object.values(sessionStorage).filter(Boolean));

test('a reloaded page resumes its job until it is dismissed', { skip }, async () => {
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
  assert.equal(await button('Dismiss').count(), 0);
  jobs.record = completed({ result: { href: '/reports/7', label: 'Report' } });
  await state('completed');
  await page.reload();
  await page.evaluate(() => void ProgressPolling.resume('place'));
  await state('completed');
  await page.waitForSelector('#place a:text-is("Report"):visible');
  await button('Dismiss').click();
  assert.equal(await page.locator('.progress-polling').count(), 0);
  assert.deepEqual(await stored(), []);
  await page.reload();
  assert.equal(await page.evaluate(() => ProgressPolling.resume('place')), null);
});

test('a bar without persist has nothing to dismiss', { skip }, async () => {
  jobs.record = completed();
  await follow();
  await state('completed');
  assert.equal(await page.locator('#place button:visible').count(), 0);
});

test('a stored job that was deleted is forgotten at once, without a word', { skip }, async () => {
  await follow({ persist: true, pollInterval: 50 });
  await state('running');
  await page.reload();
  jobs.respond = (_, response) => (send(response, {}, 404), true);
  const shown = await page.evaluate(async () => {
    const texts = new Set();
    const place = document.getElementById('place');
    new MutationObserver(() => texts.add(place.innerText)).observe(place, {
      subtree: true,
      childList: true,
      characterData: true,
    });
    const errors = [];
    const onError = ({ kind }) => errors.push(kind);
    const widget = ProgressPolling.resume('place', { backoffBase: 50, onError });
    await widget.finished.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 100));
    return { texts: [...texts].join(), errors, bars: place.childElementCount };
  });
  assert.doesNotMatch(shown.texts, /not found/);
  assert.deepEqual([shown.errors, shown.bars], [['not-found'], 0]);
  assert.deepEqual(await stored(), []);
});

test('a job that is deleted while it is followed says so, once', { skip }, async () => {
  await follow({ persist: true, pollInterval: 50, notFoundRetries: 0 });
  await state('running');
  jobs.respond = (_, response) => (send(response, {}, 404), true);
  await state('lost');
  assert.equal(await page.locator('#place [role=alert]').textContent(), 'Job not found.');
  assert.deepEqual(await stored(), []);
});

test('the next job in a container replaces the stored job', { skip }, async () => {
  const options = { persist: true, pollInterval: 50 };
  await page.evaluate((given) => {
    const onSettled = () => new ProgressPolling('place', 'second', given);
    globalThis.widget = new ProgressPolling('place', 'first', { ...given, onSettled });
  }, options);
  await state('running');
  jobs.respond = (request, response) =>
    request.url.endsWith('/first') && (send(response, completed({ job_id: 'first' })), true);
  await page.waitForFunction(
    () => document.getElementById('place').progressPolling?.jobId === 'second',
  );
  assert.deepEqual(await stored(), ['second']);

  jobs.record = completed();
  await page.evaluate(() => {
    const widget = new ProgressPolling('place', 'third', {
      persist: true,
      onComplete: () => widget.dismiss(),
    });
  });
  await until(
    () => page.evaluate(() => document.getElementById('place').progressPolling === null),
    'the end',
  );
  assert.deepEqual(await stored(), []);
});

test('the page reloads once when the job completes', { skip }, async () => {
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

test('the page redirects when the job completes, but runs no script', { skip }, async () => {
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

test('autoHideOnComplete hides a completed job after the delay', { skip }, async () => {
  jobs.record = completed();
  await follow({ autoHideOnComplete: true, autoHideDelay: 200, persist: true });
  await page.waitForSelector('#place [data-state=completed]', { state: 'attached' });
  await page.waitForSelector('#place .progress-polling', { state: 'hidden', timeout: 2000 });
  assert.deepEqual(await stored(), []);
});

test(
  'an error in a callback is reported; polling and other callbacks continue',
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

test('silence is measured on the clock of the page', { skip }, async () => {
  const line = () => page.locator('#place .progress-polling-message').textContent();
  await follow({ pollInterval: 50 });
  await state('running');
  jobs.record = running(42, { stale: true, version: 100 });
  await state('stale');
  assert.match(await line(), /^No heartbeat for 1[5-9] s$/);
  await until(async () => /1[7-9] s|[2-5]\d s/.test(await line()), 'two more seconds');
  jobs.record = running(43, { version: 101 });
  await state('running');
  // A server may be configured to set `stale` later.
  jobs.record = running(43, { stale: true, stale_after_ms: 90_000, version: 102 });
  await state('stale');
  assert.match(await line(), /^No heartbeat for 1 min 3\d s$/);
});

test('an invalid redirect URL affects neither the end nor other bars', { skip }, async () => {
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
  // Another error of a page, which makes drawing fail.
  await page.evaluate(() => {
    const broken = document.body.appendChild(document.createElement('div'));
    new ProgressPolling(broken, 'a-job', { pollInterval: 50, messages: { completed: 7 } });
  });
  await state('running');
  jobs.record = completed();
  await state('completed');
  const asked = jobs.requests.length;
  await until(() => jobs.requests.length > asked + 3, 'four more requests');
  assert.ok((await page.evaluate(() => globalThis.told)).some(([name]) => name === 'onSettled'));
});

test('a page stores nothing without persist', { skip }, async () => {
  jobs.record = completed();
  await follow();
  await state('completed');
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});
