import assert from 'node:assert/strict';
import { test } from 'node:test';
import { belongingUrl, endpointBeside, statusUrl } from '../../src/urls.js';

test('a job id is escaped in the URL', () => {
  assert.equal(statusUrl({ endpoint: '/progress/' }, '../a?b#c'), '/progress/..%2Fa%3Fb%23c');
  assert.equal(statusUrl({ endpoint: '/progress', url: '/mine?job=1' }, 'ignored'), '/mine?job=1');
});

test('the log and the cancellation are below the record, with its query', () => {
  globalThis.document = { baseURI: 'https://example.org/shop/' };
  assert.equal(belongingUrl('/progress/1', 'cancel'), 'https://example.org/progress/1/cancel');
  assert.equal(
    belongingUrl('progress/1/?key=a%26b', 'log', { after: 5, limit: 100 }),
    'https://example.org/shop/progress/1/log?key=a%26b&after=5&limit=100',
  );
  delete globalThis.document;
});

test('the default endpoint is the path that served the script', () => {
  const page = 'https://example.org';
  assert.equal(
    endpointBeside('https://example.org/app/jobs/progress-polling.js?v=2', page),
    '/app/jobs',
  );
  assert.equal(endpointBeside('https://example.org/progress-polling.mjs', page), '');
  assert.equal(
    endpointBeside('https://example.org/app/jobs/progress-polling.605a964949cf8c6b.js', page),
    '/app/jobs',
  );
  assert.equal(
    endpointBeside('https://elsewhere.example/progress/progress-polling.js', page),
    undefined,
  );
  assert.equal(
    endpointBeside('https://example.org.elsewhere.example/progress/progress-polling.js', page),
    undefined,
  );
  assert.equal(
    endpointBeside('https://example.org:8443/progress/progress-polling.js', page),
    undefined,
  );
  assert.equal(endpointBeside('https://example.org/assets/bundle.js', page), undefined);
  assert.equal(endpointBeside(undefined, page), undefined);
});
