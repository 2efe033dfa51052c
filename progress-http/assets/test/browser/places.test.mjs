import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { completed, running } from '../support/jobs.mjs';
import { follow, jobs, page, skip, state } from '../support/page.mjs';
import { pause, until } from '../support/patience.mjs';

// Pages that others own: places that are moved, removed, morphed or hydrated.

const library = (path) => readFile(new URL(`../../node_modules/${path}`, import.meta.url), 'utf8');

test('a removed place ends the bar, without callbacks or a redirect', { skip }, async () => {
  const address = page.url();
  await follow({ pollInterval: 100, redirectOnComplete: '/pages/linked.html' });
  await state('running');
  await page.evaluate(() => {
    globalThis.told = [];
    document.getElementById('place').remove();
  });
  const asked = jobs.requests.length;
  jobs.record = completed();
  await pause(1000);
  assert.ok(jobs.requests.length - asked <= 1, 'at most the request that was open');
  assert.deepEqual(await page.evaluate(() => globalThis.told), []);
  assert.equal(page.url(), address);
  assert.equal(
    await page.evaluate(() => globalThis.widget.finished.catch(({ name }) => name)),
    'AbortError',
  );
});

test('a bar whose place is moved goes on', { skip }, async () => {
  await follow({ pollInterval: 50 });
  await state('running');
  await page.evaluate(() => {
    const place = document.getElementById('place');
    place.remove();
    document.body.appendChild(document.createElement('main')).append(place);
  });
  jobs.record = completed();
  await page.waitForSelector('main #place [data-state=completed]');
});

test('an element that is moved keeps its bar', { skip }, async () => {
  jobs.record = running(42, { poll_after_ms: 60_000 });
  const isSame = await page.evaluate(async () => {
    const element = document.createElement('progress-poller');
    element.setAttribute('job-id', 'a-job');
    document.body.append(element);
    const widget = element.progressPolling;
    await new Promise((resolve) =>
      element.addEventListener('progress-polling:progress', resolve, { once: true }),
    );
    document.body.appendChild(document.createElement('main')).append(element);
    await new Promise((resolve) => setTimeout(resolve, 100));
    return element.progressPolling === widget && widget.snapshot.processed_items === 42;
  });
  assert.equal(isSame, true);
  assert.equal(jobs.polls().length, 1);
  await page.evaluate(() => document.querySelector('progress-poller').remove());
  assert.equal(
    await page.evaluate(() => document.querySelector('progress-poller') ?? 'removed'),
    'removed',
  );
});

const SERVER_HTML = `
  <h1>Jobs</h1>
  <progress-poller job-id="a-job" poll-interval="50">The job is under way.</progress-poller>
  <div id="place">The job is under way.</div>`;

const morphs = {
  idiomorph: {
    scripts: ['idiomorph/dist/idiomorph.js'],
    morph: (html) => globalThis.Idiomorph.morph(document.body, html, { morphStyle: 'innerHTML' }),
  },
  'Turbo 8': {
    scripts: ['@hotwired/turbo/dist/turbo.es2017-umd.js'],
    morph: (html) =>
      globalThis.Turbo.renderStreamMessage(
        `<turbo-stream action="update" method="morph" targets="body">` +
          `<template>${html}</template></turbo-stream>`,
      ),
  },
};
for (const [name, { scripts, morph }] of Object.entries(morphs)) {
  test(`bars survive a page that ${name} morphs`, { skip }, async () => {
    await page.evaluate((html) => (document.body.innerHTML = html), SERVER_HTML);
    await follow({ pollInterval: 50 });
    await state('running');
    await page.waitForSelector('progress-poller [data-state=running]');
    for (const path of scripts) await page.addScriptTag({ content: await library(path) });
    await page.evaluate(() => (globalThis.element = document.querySelector('progress-poller')));
    for (let times = 0; times < 3; times += 1) {
      await page.evaluate(morph, SERVER_HTML.replace('Jobs', `Jobs ${times}`));
      await page.waitForSelector(`h1:text("Jobs ${times}")`);
    }
    assert.equal(
      await page.evaluate(() => document.querySelector('progress-poller') === globalThis.element),
      true,
    );
    jobs.record = running(60);
    await page.waitForSelector('progress-poller [aria-valuenow="60"]');
    await page.waitForSelector('#place [aria-valuenow="60"]');
  });
}

test('React hydrates an element that already shows its bar', { skip }, async () => {
  const errors = [];
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(String(error)));
  await page.evaluate(() => {
    document.body.innerHTML =
      '<div id="app"><progress-poller job-id="a-job" poll-interval="50"></progress-poller></div>';
  });
  await page.waitForSelector('progress-poller [data-state=running]');
  await page.evaluate(await reactBundle());
  await page.waitForSelector('#app[data-hydrated]');
  jobs.record = running(60);
  await page.waitForSelector('progress-poller [aria-valuenow="60"]');
  // The browser asks the test server for an icon.
  assert.deepEqual(
    errors.filter((text) => !text.startsWith('Failed to load resource')),
    [],
  );
});

/** React in StrictMode, which hydrates the element. */
async function reactBundle() {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    stdin: {
      contents: `
        import { createElement, StrictMode, useEffect } from 'react';
        import { hydrateRoot } from 'react-dom/client';
        function App() {
          useEffect(() => { document.getElementById('app').dataset.hydrated = ''; }, []);
          return createElement('progress-poller', { 'job-id': 'a-job', 'poll-interval': '50' });
        }
        const app = document.getElementById('app');
        hydrateRoot(app, createElement(StrictMode, null, createElement(App)));`,
      resolveDir: new URL('../..', import.meta.url).pathname,
    },
    bundle: true,
    format: 'iife',
    define: { 'process.env.NODE_ENV': '"development"' },
    write: false,
  });
  return outputFiles[0].text;
}

test('polling ends with the element', { skip }, async () => {
  await page.evaluate(() => {
    document.body.innerHTML = '<progress-poller job-id="a-job" poll-interval="50"></progress-poller>';
  });
  await until(() => jobs.polls().length > 2, 'three polls');
  await page.evaluate(() => document.body.replaceChildren());
  await pause(100);
  const asked = jobs.polls().length;
  await pause(300);
  assert.equal(jobs.polls().length, asked);
});
