import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const assets = fileURLToPath(new URL('../../', import.meta.url));

test('the package contains the built files, the licences and nothing else', async () => {
  const { stdout } = await promisify(execFile)(
    'npm',
    ['pack', '--dry-run', '--json', '--ignore-scripts'],
    { cwd: assets },
  );
  const [{ files }] = JSON.parse(stdout);
  assert.deepEqual(
    files.map(({ path }) => path).filter((path) => !path.startsWith('LICENSE-')),
    [
      'README.md',
      'dist/manifest.json',
      'dist/progress-list.css',
      'dist/progress-list.d.ts',
      'dist/progress-list.js',
      'dist/progress-news.d.ts',
      'dist/progress-news.js',
      'dist/progress-poller.d.ts',
      'dist/progress-poller.mjs',
      'dist/progress-polling.css',
      'dist/progress-polling.d.ts',
      'dist/progress-polling.js',
      'dist/progress-polling.mjs',
      'package.json',
    ],
  );
});

test('every export resolves, and ProgressPoller works in node', async () => {
  const { exports } = (
    await import('progress-polling/package.json', { with: { type: 'json' } })
  ).default;
  for (const name of Object.keys(exports)) {
    assert.ok(import.meta.resolve(`progress-polling${name.slice(1)}`));
  }

  const server = createServer((request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ status: 'completed', path: request.url }));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { ProgressPoller } = await import('progress-polling/poller');
  const poller = new ProgressPoller('a-job', {
    endpoint: `http://127.0.0.1:${server.address().port}/jobs`,
  });
  poller.start();
  assert.equal((await poller.finished).path, '/jobs/a-job');
  server.close();
  server.closeAllConnections();
});

test('the whole package can be imported without a page', async () => {
  const { ProgressPolling } = await import('progress-polling');
  assert.throws(() => new ProgressPolling('place', 'a-job'), ReferenceError);
  const { ProgressListElement } = await import('progress-polling/list');
  assert.equal(typeof ProgressListElement, 'function');
  const { askForNotifications } = await import('progress-polling/news');
  assert.equal(await askForNotifications(), false, 'node shows no notifications');
});
