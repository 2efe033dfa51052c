import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

export const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** The reason to skip a test if there is no browser; `false` if there is one. */
export const missing = existsSync(executablePath)
  ? false
  : `no browser at ${executablePath}; set CHROMIUM to the path of one`;

export const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** @param {import('playwright-core').LaunchOptions} [options] */
export function launch(options) {
  return chromium.launch({ executablePath, args: FLAGS, ...options });
}
