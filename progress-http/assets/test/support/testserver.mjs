import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { request as ask } from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { serve } from './server.mjs';

const program =
  process.env.TESTSERVER ??
  fileURLToPath(new URL('../../../../target/debug/testserver', import.meta.url));

/**
 * Starts the server of the Rust tests, with the real routes under `/progress`, and before it a
 * server with pages, so that both have one origin.
 *
 * @param {Parameters<typeof serve>[0]} [options]
 */
export async function serveReal(options = {}) {
  if (!existsSync(program))
    throw new Error(`no ${program}: run cargo build -p progress-tests --bin testserver`);
  const settings = ['--framework', 'axum', '--store', 'memory', '--listen', '127.0.0.1:0'];
  const server = spawn(program, settings);
  const lines = createInterface(server.stdout);
  const [line] = await once(lines, 'line');
  const base = line.replace('listening on ', '');
  /** Requests for jobs, and the status of their replies. */
  const requests = [];
  /** A status to answer with in place of the server. */
  const outage = { status: 0 };
  /** @type {Record<string, string>} HTML by path */
  const pages = {};
  const answer = (request, response) => {
    const page = pages[request.url];
    if (page) {
      response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', ...options.headers });
      return (response.end(page), true);
    }
    if (!request.url.startsWith('/progress/')) return false;
    const seen = { path: request.url, headers: request.headers, status: outage.status };
    if (request.url.includes('.html')) requests.push(seen);
    if (outage.status) return (response.writeHead(outage.status).end('away'), true);
    const { method, headers } = request;
    const forwarded = ask(`${base}${request.url}`, { method, headers }, (reply) => {
      seen.status = reply.statusCode;
      response.writeHead(reply.statusCode, reply.headers);
      reply.pipe(response);
    });
    forwarded.on('error', () => response.destroy());
    request.pipe(forwarded);
    return true;
  };
  const front = await serve({ ...options, answer });
  const post = async (path, body) => {
    const reply = await fetch(base + path, { method: 'POST', body: JSON.stringify(body) });
    const text = await reply.text();
    if (!reply.ok) throw new Error(`${path}: ${reply.status} ${text}`);
    return JSON.parse(text);
  };
  return {
    origin: front.origin,
    pages,
    requests,
    outage,
    /** Creates a job and returns its id. */
    create: async (job) => (await post('/test/jobs', job)).job_id,
    update: (id, update) => post(`/test/jobs/${id}/update`, update),
    cancel: (id) => post(`/progress/${id}/cancel`, {}),
    close: async () => {
      server.kill();
      await front.close();
    },
  };
}
