import { after, afterEach, before, beforeEach } from 'node:test';
import { launch, missing } from './browser.mjs';
import { POLICY } from './hostile.mjs';
import { missingServer, startServer } from './testserver.mjs';

// Gives each test of a file that imports this module a server, and pages of different viewers.

/** The reason to skip a test; `false` if there are a browser and a server. */
export const skip = missing || missingServer;
if (skip) console.error(`# THE LIST IS NOT TESTED: ${skip}`);
export let server, browser;
let contexts = [];

before(async () => {
  if (!skip) browser = await launch();
});
after(() => browser?.close());
beforeEach(async () => {
  if (!skip) server = await startServer({ headers: { 'Content-Security-Policy': POLICY } });
});
afterEach(async () => {
  for (const context of contexts) await context.close();
  contexts = [];
  await server?.close();
});

/**
 * Opens a list in a window of its own.
 *
 * @param {object} [given]
 * @param {string} [given.viewer] as the test server knows it
 * @param {Record<string, string>} [given.attributes] of the element
 * @param {Record<string, string>} [given.page] attributes of the page
 * @param {object} [given.options] of the element
 * @param {import('playwright-core').BrowserContextOptions} [given.window]
 * @param {import('playwright-core').Browser} [given.from]
 * @param {string} [given.origin]
 */
export async function openList({
  viewer = 'owner:ann',
  attributes = {},
  page: pageAttributes = {},
  options,
  window = {},
  from = browser,
  origin = server.origin,
} = {}) {
  const context = await from.newContext({ extraHTTPHeaders: { 'x-viewer': viewer }, ...window });
  contexts.push(context);
  const page = await context.newPage();
  page.mistakes = [];
  page.on('pageerror', (error) => page.mistakes.push(String(error)));
  await page.goto(`${origin}/pages/list.html`);
  const all = { 'allow-cancel': '', 'allow-delete': '', 'allow-run-again': '', ...attributes };
  await addList(page, all, pageAttributes, options);
  return page;
}

/** Adds a list to the page, and waits until it is drawn. */
export async function addList(page, attributes = {}, pageAttributes = {}, options = undefined) {
  await page.evaluate(
    ([given, root, more]) => {
      for (const name in root) document.documentElement.setAttribute(name, root[name]);
      const list = document.createElement('progress-list');
      for (const name in given) list.setAttribute(name, given[name]);
      if (more) list.options = more;
      globalThis.told = [];
      for (const type of ['runagain', 'signedout']) {
        list.addEventListener(`progress-list:${type}`, ({ detail }) =>
          globalThis.told.push([type, detail.data.job_id ?? detail.data.kind]),
        );
      }
      document.getElementById('main').append(list);
    },
    [attributes, pageAttributes, options],
  );
  await page.waitForSelector('.progress-list');
}

/** The texts of the rows, by cell. */
export const rows = (page) =>
  page.locator('tbody > [data-tone]').evaluateAll((nodes) =>
    nodes.map((row) =>
      Object.fromEntries(
        [...row.children].map((cell) => {
          const name = cell.className.replace('progress-polling-', '');
          const parts = [...cell.querySelectorAll('span, time, button:not([hidden])')];
          const texts = parts.filter((part) => !part.querySelector('span'));
          return [name, texts.map((part) => part.textContent).join('|')];
        }),
      ),
    ),
  );

/** The titles of the rows. */
export const titles = (page) =>
  page.locator('tbody th .progress-polling-title').allTextContents();

/** The row with this title. */
export const rowOf = (page, title) =>
  page.locator('tbody > [data-tone]', { has: page.getByText(title, { exact: true }) });

/** Creates a job of Ann's in a state. */
export async function job(
  title,
  { owner = 'ann', type = 'mailing', total = 100, ...more } = {},
  on = server,
) {
  const id = await on.create({ owner, title, task_type: type, total });
  for (const update of more.updates ?? []) await on.update(id, update);
  return id;
}

export const START = { transition: 'start' };
export const ENDED = [START, { succeeded: 100 }, { transition: 'complete' }];
