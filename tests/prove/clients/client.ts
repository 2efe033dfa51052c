// A program that uses the types that openapi-typescript generates. Arguments: the address of the
// mount point, the id of a running job, and that of a completed one.
import assert from 'node:assert/strict';
import createClient from 'openapi-fetch';
import type { components, paths } from './schema.js';

const [baseUrl, running, completed] = process.argv.slice(2) as [string, string, string];
const client = createClient<paths>({ baseUrl, headers: { 'x-viewer': 'owner:ann' } });
const the = (id: string) => ({ params: { path: { id } } });

const { data: record, response } = await client.GET('/{id}', the(running));
assert(record);
const status: components['schemas']['Status'] = record.status;
const total: number | null = record.total_items;
const owner: string | undefined = record.owner;
assert.deepEqual([status, total, owner], ['running', 10, undefined]);
// @ts-expect-error there is no such state
assert(record.status !== 'in_progress');

const header = { 'if-none-match': response.headers.get('etag') ?? '' };
const unchanged = await client.GET('/{id}', { params: { path: { id: running }, header } });
assert.equal(unchanged.response.status, 304);

const { data: page } = await client.GET('/', { params: { query: { status: 'running' } } });
assert.deepEqual([page?.count, page?.jobs[0]?.job_id, page?.next], [1, running, null]);
const ids = { ids: [completed, running] };
const { data: chosen } = await client.GET('/', { params: { query: ids } });
assert.deepEqual(
  chosen?.jobs.map((job) => job.job_id),
  ids.ids,
);
const { data: active } = await client.GET('/active');
assert.equal(active?.count, 1);

const { data: log } = await client.GET('/{id}/log', the(running));
const level: 'info' | 'error' | undefined = log?.entries[0]?.level;
assert.deepEqual([level, log?.entries[0]?.message, log?.next_after], ['error', 'é', 1]);

const cancelled = await client.POST('/{id}/cancel', the(running));
assert.deepEqual([cancelled.response.status, cancelled.data?.cancel_requested], [202, true]);
const refused = await client.POST('/{id}/cancel', the(completed));
assert.deepEqual([refused.response.status, refused.error?.status], [409, 409]);
assert.equal((await client.DELETE('/{id}', the(completed))).response.status, 204);
const missing = await client.GET('/{id}', the(completed));
assert.deepEqual([missing.error?.status, missing.error?.title], [404, 'Not Found']);
const limit = await client.GET('/', { params: { query: { limit: 0 } } });
assert.match(limit.error?.detail ?? '', /limit/);
console.log('11 requests');
