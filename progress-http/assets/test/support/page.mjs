import { after, afterEach, before, beforeEach } from 'node:test';
import { launch, missing } from './browser.mjs';
import { running, serveJobs } from './jobs.mjs';

// Gives each test of a file that imports this module a server with a job, and a page.

/** The reason to skip a test if there is no browser; `false` if there is one. */
export const skip = missing;
export let jobs, page;
let browser;

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

/** Creates a widget in the page, and records each callback and DOM event in `told`. */
export const follow = (options = {}) =>
  page.evaluate((given) => {
    globalThis.told = [];
    const names = [
      'onStart',
      'onProgress',
      'onComplete',
      'onError',
      'onRetry',
      'onCancelled',
      'onSettled',
    ];
    const callbacks = Object.fromEntries(
      names.map((name) => [
        name,
        (data, meta) => globalThis.told.push([name, data.status, meta.initial]),
      ]),
    );
    for (const type of ['start', 'progress', 'complete', 'settled']) {
      document.addEventListener(`progress-polling:${type}`, ({ detail, target }) =>
        globalThis.told.push([type, detail.data.status, target.id]),
      );
    }
    globalThis.widget = new ProgressPolling('place', 'a-job', { ...callbacks, ...given });
  }, options);

export const state = (name) => page.waitForSelector(`#place [data-state=${name}]`);
