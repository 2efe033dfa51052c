import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './patience.mjs';
import { command } from './webdriver.mjs';

// Starts the engines besides Chromium, from Debian's packages. Each session has `version`, `goto`,
// `evaluate`, `screenshot` (a PNG in base64) and `close`.

/** @type {Record<string, { needs: Record<string, string>, start: Function }>} */
export const ENGINES = {
  Firefox: {
    needs: { FIREFOX: '/usr/bin/firefox-esr' },
    start: startFirefox,
  },
  WebKit: {
    needs: { WEBKIT_DRIVER: '/usr/bin/WebKitWebDriver', XVFB: '/usr/bin/Xvfb' },
    start: startWebKit,
  },
};

/** How long an engine may take to start on a busy machine, in milliseconds. */
const SLOWEST_START = 30_000;

const path = (variable, usual) => process.env[variable] ?? usual;

/** Returns the reason to skip an engine, or `false`. */
export function missing({ needs }) {
  const [lacking] = Object.entries(needs)
    .map(([variable, usual]) => [variable, path(variable, usual)])
    .filter(([, file]) => !existsSync(file));
  return lacking ? `no ${lacking[1]}; set ${lacking[0]} to its path` : false;
}

/** Runs a function in the page. */
const scriptOf = (code, args) => ({ script: `return (${code})(...arguments);`, args });

/** Ends a process, and then calls `after`. */
async function end(child, after) {
  const exited = new Promise((resolve) => child.once('exit', resolve));
  if (child.exitCode === null && child.kill()) await exited;
  await after?.();
}

/** Firefox, through its own protocol, Marionette, so that no further program is needed. */
async function startFirefox({ needs }) {
  const profile = await mkdtemp(join(tmpdir(), 'progress-polling-firefox-'));
  await writeFile(join(profile, 'user.js'), 'user_pref("marionette.port", 0);\n');
  const flags = ['--headless', '--marionette', '--no-remote', '--profile', profile];
  const firefox = spawn(path('FIREFOX', needs.FIREFOX), flags, { stdio: 'ignore' });
  const remove = () => rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  const port = join(profile, 'MarionetteActivePort');
  let socket;
  try {
    let number = 0;
    await until(async () => {
      number = Number(await readFile(port, 'utf8').catch(() => 0));
      return number;
    }, 'Firefox listens', SLOWEST_START);
    socket = connect(number, '127.0.0.1');
    const send = commands(socket);
    const { capabilities } = await send('NewSession', {});
    return {
      version: `${capabilities.browserName} ${capabilities.browserVersion}`,
      goto: (url) => send('Navigate', { url }),
      evaluate: async (code, ...args) => (await send('ExecuteScript', scriptOf(code, args))).value,
      screenshot: async () => (await send('TakeScreenshot', { full: false })).value,
      close: () => (socket.destroy(), end(firefox, remove)),
    };
  } catch (error) {
    socket?.destroy();
    await end(firefox, remove);
    throw error;
  }
}

/**
 * Sends commands as `LENGTH:[0,ID,NAME,PARAMETERS]`. The response is `LENGTH:[1,ID,ERROR,RESULT]`.
 *
 * @param {import('node:net').Socket} socket
 */
function commands(socket) {
  const waiting = new Map();
  let sent = 0;
  let received = Buffer.alloc(0);
  socket.on('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('Firefox closed the connection'));
  });
  socket.on('data', (data) => {
    received = Buffer.concat([received, data]);
    for (;;) {
      const colon = received.indexOf(':');
      const finish = colon + 1 + Number(received.subarray(0, colon));
      if (colon < 0 || received.length < finish) return;
      const message = JSON.parse(received.subarray(colon + 1, finish));
      received = received.subarray(finish);
      // The first message is a greeting.
      if (!Array.isArray(message)) continue;
      const [, id, error, result] = message;
      const { resolve, reject } = waiting.get(id);
      waiting.delete(id);
      if (error) reject(new Error(`${error.error}: ${error.message}`));
      else resolve(result);
    }
  });
  return (name, parameters) =>
    new Promise((resolve, reject) => {
      sent += 1;
      waiting.set(sent, { resolve, reject });
      const text = JSON.stringify([0, sent, `WebDriver:${name}`, parameters]);
      socket.write(`${Buffer.byteLength(text)}:${text}`);
    });
}

/** WebKitGTK, through its WebDriver, on a virtual screen, because it has no headless mode. */
async function startWebKit({ needs }) {
  const screen = spawn(
    path('XVFB', needs.XVFB),
    ['-displayfd', '1', '-screen', '0', '1280x1024x24', '-nolisten', 'tcp'],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  let driver;
  const stop = async () => {
    if (driver) await end(driver);
    await end(screen);
  };
  try {
    const display = await new Promise((resolve, reject) => {
      screen.stdout.once('data', (number) => resolve(`:${String(number).trim()}`));
      screen.once('exit', () => reject(new Error('the virtual screen did not start')));
    });
    const port = await freePort();
    driver = spawn(path('WEBKIT_DRIVER', needs.WEBKIT_DRIVER), [`--port=${port}`], {
      stdio: 'ignore',
      env: { ...process.env, DISPLAY: display },
    });
    const root = `http://127.0.0.1:${port}`;
    const isReady = () => fetch(`${root}/status`).then(({ ok }) => ok, () => false);
    await until(isReady, 'the WebDriver listens', SLOWEST_START);
    const { sessionId, capabilities } = await command('POST', `${root}/session`, {
      capabilities: {},
    });
    const session = `${root}/session/${sessionId}`;
    return {
      version: `${capabilities.browserName} (WebKitGTK) ${capabilities.browserVersion}`,
      goto: (url) => command('POST', `${session}/url`, { url }),
      evaluate: (code, ...args) =>
        command('POST', `${session}/execute/sync`, scriptOf(code, args)),
      screenshot: () => command('GET', `${session}/screenshot`),
      async close() {
        await command('DELETE', session).catch(() => {});
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
