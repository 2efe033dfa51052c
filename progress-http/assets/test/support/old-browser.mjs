import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { chmod, mkdir, rename } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress } from 'node:zlib';
import { launch } from './browser.mjs';

const PACKAGE = '@sparticuz/chromium';
const require = createRequire(import.meta.url);

/** The compressed browser, or `null` if the package is not installed. */
const archive = (() => {
  try {
    return join(dirname(require.resolve(`${PACKAGE}/package.json`)), 'bin', 'chromium.br');
  } catch {
    return null;
  }
})();

/** The reason to skip a test if there is no old browser; `false` if there is one. */
export const missingOld =
  archive && existsSync(archive) ? false : `OLD BROWSER NOT TESTED: ${PACKAGE} is not installed`;

/**
 * Starts Chromium 119, which supports neither `light-dark()` nor `:dir()`, like the oldest browsers
 * in which the widget works.
 */
export async function launchOldBrowser() {
  const { version } = require(`${PACKAGE}/package.json`);
  const folder = join(tmpdir(), `progress-polling-chromium-${version}`);
  const executablePath = join(folder, 'chromium');
  if (!existsSync(executablePath)) {
    await mkdir(folder, { recursive: true });
    // Renamed at the end, so that a test that runs at the same time does not start half a file.
    const partial = `${executablePath}.${process.pid}`;
    await pipeline(
      createReadStream(archive),
      createBrotliDecompress(),
      createWriteStream(partial),
    );
    await chmod(partial, 0o755);
    await rename(partial, executablePath);
  }
  return launch({ executablePath });
}
