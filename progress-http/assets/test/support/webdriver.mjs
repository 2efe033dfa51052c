import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FLAGS, executablePath, missing as missingBrowser } from './browser.mjs';

const driver = process.env.CHROMEDRIVER ?? '/usr/bin/chromedriver';

/** What to say where there is no driver; `false` where there is one. */
export const missing =
  missingBrowser || (existsSync(driver) ? false : `no WebDriver at ${driver}; set CHROMEDRIVER to the path of one`);

/**
 * A browser as people have it: a page in a tab behind another one is hidden, and the back-forward cache is on.
 * Playwright's pages are always in front. Speaks the W3C protocol, as far as these tests need it.
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
    /** Runs in the page; a promise is waited for. */
    evaluate: (code, ...args) =>
      command('POST', `${session}/execute/sync`, { script: `return (${code})(...arguments);`, args }),
    currentTab: () => command('GET', `${session}/window`),
    newTab: async () => (await command('POST', `${session}/window/new`, { type: 'tab' })).handle,
    switchTo: (handle) => command('POST', `${session}/window`, { handle }),
    async close() {
      await command('DELETE', session).catch(() => {});
      await stop();
    },
  };
}

async function command(method, url, body) {
  const response = await fetch(url, { method, body: body && JSON.stringify(body) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
  return value;
}
