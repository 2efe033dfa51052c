import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { serve } from './server.mjs';

const program =
  process.env.TESTSERVER ??
  fileURLToPath(new URL('../../../../target/debug/testserver', import.meta.url));

/** The reason to skip a test if the server was not built; `false` if it was. */
export const missingServer = existsSync(program)
  ? false
  : `no server at ${program}; run "cargo build -p progress-tests", or set TESTSERVER`;

/**
 * Starts the test server of the workspace, and in front of it a server with the built files and the
 * test pages. Requests below `/progress` that name no file go to the test server.
 *
 * @param {object} [options]
 * @param {string[]} [options.args] of the test server
 * @param {Record<string, string>} [options.headers] sent with every file and page
 * @param {Record<string, string>} [options.files] further files by path
 * @param {string} [options.viewer] of browsers that cannot send a header of their own
 */
export async function startServer({
  args = ['--framework', 'axum'],
  headers,
  files,
  viewer,
} = {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await new Promise((resolve, reject) => {
    createInterface(child.stdout).once('line', (...lines) => resolve(lines));
    child.once('exit', () => reject(new Error('the test server has stopped')));
  });
  const upstream = line.split(' ').at(-1);
  /** @type {Record<string, string>} HTML by path */
  const pages = {};
  const backend = { requests: [], respond: null, upstream, pages };
  const answer = (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const page = pages[pathname];
    if (page) {
      response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', ...headers });
      return (response.end(page), true);
    }
    const isBuilt = /\.(m?js|css)$/.test(pathname) && !pathname.endsWith('/progress-html.css');
    if (!pathname.startsWith('/progress/') || isBuilt) return false;
    const { method, url } = request;
    const entry = { at: performance.now(), method, url, headers: request.headers, status: 0 };
    backend.requests.push(entry);
    if (backend.respond?.(request, response)) return true;
    if (viewer) request.headers['x-viewer'] = viewer;
    const forwarded = httpRequest(
      `${upstream}${url}`,
      { method, headers: request.headers, agent: false },
      (reply) => {
        entry.status = reply.statusCode;
        response.writeHead(reply.statusCode, reply.headers);
        reply.pipe(response);
      },
    );
    forwarded.on('error', () => response.destroy());
    response.on('close', () => forwarded.destroy());
    request.pipe(forwarded);
    return true;
  };
  const server = await serve({ headers, answer, files });
  const send = async (path, body = {}) => {
    const reply = await fetch(`${upstream}${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
    });
    if (!reply.ok) throw new Error(`${path}: ${reply.status} ${await reply.text()}`);
    return reply.json();
  };
  return Object.assign(backend, {
    origin: server.origin,
    /** Creates a job, and returns its id. */
    create: async (job) => (await send('/test/jobs', job)).job_id,
    update: (id, update) => send(`/test/jobs/${id}/update`, update),
    cancel: (id) => send(`/progress/${id}/cancel`),
    run: (id, run) => send(`/test/jobs/${id}/run`, run),
    close: async () => {
      await server.close();
      const exited = new Promise((resolve) => child.once('exit', resolve));
      if (child.kill()) await exited;
    },
  });
}
