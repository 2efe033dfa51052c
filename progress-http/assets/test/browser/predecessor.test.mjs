import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, missing } from '../support/browser.mjs';
import { serve } from '../support/server.mjs';

const skip = missing;
const JOB = '0b9a7a52-8a52-4c0e-9d5b-3f1f4f1c2d10';
let browser;

before(async () => {
  if (!missing) browser = await launch();
});
after(() => browser?.close());

/** A record in the format of the predecessor's endpoint. */
const record = (processed, more = {}) => ({
  job_id: JOB,
  task_type: 'invoice_sending',
  status: 'in_progress',
  total_items: 120,
  processed_items: processed,
  failed_items: 0,
  remaining_items: 120 - processed,
  progress_percentage: (100 * processed) / 120,
  current_message: `Facture ${processed}`,
  error_message: null,
  ...more,
});

/** Serves the page and that endpoint: no ETags, versions or lists, and URLs that end in a slash. */
async function serveEndpoint({ withoutSlash }) {
  const endpoint = { job: record(30), asked: [] };
  const send = (response, body) => {
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    return true;
  };
  const server = await serve({
    answer(request, response) {
      const { pathname, search } = new URL(request.url, 'http://localhost');
      if (request.method === 'POST') return send(response, { success: true, job_id: JOB });
      if (!pathname.startsWith('/progress/') || pathname.includes('progress-polling')) return false;
      endpoint.asked.push(pathname + search);
      if (/^\/progress\/[^/]+\/$/.test(pathname)) return send(response, endpoint.job);
      if (withoutSlash === 301 && !search)
        response.writeHead(301, { Location: `${pathname}/` }).end();
      else response.writeHead(404, { 'Content-Type': 'text/html' }).end('<h1>Not found</h1>');
      return true;
    },
  });
  return Object.assign(endpoint, server);
}

for (const withoutSlash of [301, 404]) {
  test(
    `a page of the predecessor works with an endpoint that needs a slash (else ${withoutSlash})`,
    {
      skip,
    },
    async () => {
      const endpoint = await serveEndpoint({ withoutSlash });
      const page = await browser.newPage();
      const mistakes = [];
      const logged = [];
      page.on('pageerror', (error) => mistakes.push(String(error)));
      page.on('console', (message) => message.type() === 'debug' && logged.push(message.text()));
      await page.goto(`${endpoint.origin}/pages/predecessor.html`);
      await page.click('button:text("Envoyer")');
      await page.waitForSelector('#jauge [data-state=running] [aria-valuenow="25"]');
      assert.equal(await page.locator('#jauge .ui.header').textContent(), 'Envoi des factures');
      assert.equal(await page.locator('#jauge i.envelope.outline.icon').count(), 1);
      assert.equal(await page.locator('#jauge .ui.label').textContent(), 'En cours');
      assert.equal(await page.locator('#jauge .ui.statistics .value').first().textContent(), '120');
      assert.equal(
        await page.locator('#jauge .progress-polling-message').textContent(),
        'Facture 30',
      );
      assert.equal(
        await page.locator('#jauge .ui.progress.active').getAttribute('data-percent'),
        '25',
      );
      endpoint.job = record(90);
      await page.waitForSelector('#jauge [aria-valuenow="75"]');
      assert.ok(logged.length > 0, 'debug writes to the console');

      endpoint.job = record(120, { status: 'completed', progress_percentage: 100 });
      await page.waitForSelector('#jauge [data-state=completed]');
      await page.waitForSelector('#resultat:text-is("120 factures envoyées")');
      const asked = endpoint.asked.length;
      await page.waitForTimeout(400);
      assert.equal(endpoint.asked.length, asked);

      // The next job in the same container; this one fails.
      endpoint.job = record(12);
      await page.click('button:text("Envoyer")');
      await page.waitForSelector('#jauge [aria-valuenow="10"]');
      endpoint.job = record(12, {
        status: 'failed',
        error_message: 'Le serveur SMTP ne répond pas',
      });
      await page.waitForSelector('#resultat.negative:text-is("Le serveur SMTP ne répond pas")');
      assert.equal(await page.locator('#jauge .progress-polling').count(), 1);
      assert.deepEqual(mistakes, []);
      await page.close();
      await endpoint.close();
    },
  );
}

test('several bars work with an endpoint without lists', { skip }, async () => {
  const endpoint = await serveEndpoint({ withoutSlash: 301 });
  const page = await browser.newPage();
  await page.goto(`${endpoint.origin}/pages/plain.html`);
  await page.evaluate(() => {
    for (const id of ['one', 'two', 'three']) {
      const place = document.body.appendChild(document.createElement('div'));
      new ProgressPolling(place, id, { pollInterval: 50 });
    }
  });
  await page.waitForFunction(() => document.querySelectorAll('[aria-valuenow="25"]').length === 3);
  await page.waitForTimeout(300);
  assert.deepEqual(
    endpoint.asked.filter((address) => address.includes('?')),
    ['/progress/?ids=one,two,three'],
  );
  await page.close();
  await endpoint.close();
});
