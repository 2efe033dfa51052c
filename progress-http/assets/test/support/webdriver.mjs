import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FLAGS, executablePath, missing as missingBrowser } from './browser.mjs';

const driver = process.env.CHROMEDRIVER ?? '/usr/bin/chromedriver';

/** The reason to skip a test if there is no WebDriver; `false` if there is one. */
export const missing =
  missingBrowser ||
  (existsSync(driver)
    ? false
    : `no WebDriver at ${driver}; set CHROMEDRIVER to the path of one`);

/**
 * Starts a browser in which a background tab is hidden and the back-forward cache is on, unlike in
 * Playwright, where every page is visible. Implements the part of the W3C protocol that is needed.
 */
export async function startSession() {
  const process = spawn(driver, ['--port=0'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const port = await new Promise((resolve, reject) => {
    let output = '';
    process.stdout.on('data', (text) => {
      output += text;
      const found = /successfully on port (\d+)/.exec(output);
      if (found) resolve(found[1]);
    });
    process.once('exit', () => reject(new Error(`the WebDriver did not start: ${output}`)));
  });
  const profile = await mkdtemp(join(tmpdir(), 'progress-polling-profile-'));
  const root = `http://127.0.0.1:${port}`;
  const stop = async () => {
    process.removeAllListeners('exit');
    const exited = new Promise((resolve) => process.once('exit', resolve));
    process.kill();
    await exited;
    await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  const asked = command('POST', `${root}/session`, {
    capabilities: {
      alwaysMatch: {
        'goog:chromeOptions': {
          binary: executablePath,
          args: ['--headless=new', `--user-data-dir=${profile}`, ...FLAGS],
        },
      },
    },
  });
  const { sessionId } = await asked.catch(async (error) => {
    await stop();
    throw error;
  });
  const session = `${root}/session/${sessionId}`;
  return {
    goto: (url) => command('POST', `${session}/url`, { url }),
    back: () => command('POST', `${session}/back`, {}),
    /** Runs code in the page, and waits for a promise. */
    evaluate: (code, ...args) =>
      command('POST', `${session}/execute/sync`, {
        script: `return (${code})(...arguments);`,
        args,
      }),
    /** Sends a command of the DevTools protocol. */
    devTools: (cmd, params = {}) =>
      command('POST', `${session}/goog/cdp/execute`, { cmd, params }),
    click: async (selector) => {
      const found = { using: 'css selector', value: selector };
      const [id] = Object.values(await command('POST', `${session}/element`, found));
      return command('POST', `${session}/element/${id}/click`, {});
    },
    currentTab: () => command('GET', `${session}/window`),
    newTab: async () => (await command('POST', `${session}/window/new`, { type: 'tab' })).handle,
    switchTo: (handle) => command('POST', `${session}/window`, { handle }),
    closeTab: () => command('DELETE', `${session}/window`),
    async close() {
      await command('DELETE', session).catch(() => {});
      await stop();
    },
  };
}

/** Sends a command to a WebDriver, and returns the value of the response. */
export async function command(method, url, body) {
  const response = await fetch(url, { method, body: body && JSON.stringify(body) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
  return value;
}
