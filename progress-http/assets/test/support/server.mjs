import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, extname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const assets = new URL('../../', import.meta.url);
const fomantic = createRequire(import.meta.url).resolve('fomantic-ui-css/semantic.min.js');
/** The jQuery that Fomantic depends on, wherever npm has installed it. */
const jquery = dirname(createRequire(fomantic).resolve('jquery'));
const FOLDERS = {
  '/progress/': 'dist/',
  '/gallery/': 'test/gallery/',
  '/pages/': 'test/browser/pages/',
  '/fomantic/': 'node_modules/fomantic-ui-css/',
  '/bootstrap/': 'node_modules/bootstrap/dist/css/',
  '/jquery/': `${relative(fileURLToPath(assets), jquery)}/`,
};
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
};

/**
 * Serves the built files, the gallery and the test pages on a free port.
 *
 * @param {object} [options]
 * @param {Record<string, string>} [options.headers] sent with every file
 * @param {(request: import('node:http').IncomingMessage,
 *   response: import('node:http').ServerResponse) => boolean | void} [options.answer] called first
 *   for each request; returns true if it has answered
 * @param {Record<string, string>} [options.files] further files by path
 */
export async function serve({ headers = {}, answer, files = {} } = {}) {
  const server = createServer(async (request, response) => {
    if (answer?.(request, response)) return;
    const { pathname } = new URL(request.url, 'http://localhost');
    const folder = Object.keys(FOLDERS).find((prefix) => pathname.startsWith(prefix));
    const file =
      files[pathname] ??
      (folder && new URL(FOLDERS[folder] + pathname.slice(folder.length), assets));
    try {
      const body = await readFile(file);
      const contentType = TYPES[extname(pathname)] ?? 'text/plain';
      response.writeHead(200, { 'Content-Type': contentType, ...headers }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
