/**
 * Builds dist/ from src/.
 *
 *     node build.mjs             writes dist/
 *     node build.mjs --verify    builds into a temporary folder and fails where dist/ differs
 *
 * dist/manifest.json has two parts. `source` is the SHA-256, in hexadecimal, over all files below src/ in the
 * order of their paths (compared byte by byte): for each its path relative to src/ with forward slashes, a NUL,
 * its bytes, a NUL. A test without node recomputes it to find out that a build was forgotten. `files` has, for
 * each built file, `sha384` in base64 (as in an `integrity` attribute), and its size as it is and as `gzip -9`
 * makes it.
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, transform } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const source = join(here, 'src');
const STYLE_SHEET = 'progress-polling.css';
const TYPES = 'progress-polling.d.ts';

async function minifiedStyleSheet() {
  const { code } = await transform(await readFile(join(source, STYLE_SHEET), 'utf8'), { loader: 'css', minify: true });
  return code;
}

/** Puts the minified text of the style sheet where a script imports it. */
const styleSheetAsText = {
  name: 'style-sheet-as-text',
  setup(bundle) {
    bundle.onLoad({ filter: /\.css$/ }, async () => ({
      contents: (await minifiedStyleSheet()).trim(),
      loader: 'text',
    }));
  },
};

async function script(entry, format) {
  const { outputFiles } = await build({
    absWorkingDir: here,
    entryPoints: [`src/${entry}`],
    bundle: true,
    format,
    minify: true,
    charset: 'utf8',
    target: 'es2022',
    legalComments: 'none',
    plugins: [styleSheetAsText],
    write: false,
  });
  return outputFiles[0].text;
}

async function sourceFiles() {
  const entries = await readdir(source, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath ?? entry.path, entry.name)
        .slice(source.length + 1)
        .replaceAll(sep, '/'),
    )
    .sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
}

async function sourceHash() {
  const hash = createHash('sha256');
  for (const path of await sourceFiles()) {
    hash
      .update(`${path}\0`)
      .update(await readFile(join(source, path)))
      .update('\0');
  }
  return hash.digest('hex');
}

function describe(text) {
  return {
    sha384: createHash('sha384').update(text).digest('base64'),
    bytes: Buffer.byteLength(text),
    gzip: gzipSync(text, { level: 9 }).length,
  };
}

async function buildInto(folder) {
  const texts = {
    'progress-polling.js': await script('entry-classic.js', 'iife'),
    'progress-polling.mjs': await script('entry-module.js', 'esm'),
    [TYPES]: await readFile(join(source, TYPES), 'utf8'),
    [STYLE_SHEET]: await minifiedStyleSheet(),
  };
  const files = Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, describe(text)]));
  const manifest = `${JSON.stringify({ source: await sourceHash(), files }, null, 2)}\n`;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries({ ...texts, 'manifest.json': manifest })) {
    await writeFile(join(folder, name), text);
  }
  return files;
}

/** Names of files that are missing, superfluous or different in one of the folders. */
async function differences(one, other) {
  const names = new Set([...(await readdir(one)), ...(await readdir(other).catch(() => []))]);
  const different = [];
  for (const name of names) {
    const [left, right] = await Promise.all(
      [one, other].map((folder) => readFile(join(folder, name)).catch(() => null)),
    );
    if (!left || !right || !left.equals(right)) different.push(name);
  }
  return different;
}

const dist = join(here, 'dist');
if (process.argv.includes('--verify')) {
  const folder = await mkdtemp(join(tmpdir(), 'progress-polling-'));
  try {
    await buildInto(folder);
    const different = await differences(folder, dist);
    if (different.length) {
      console.error(`dist/ is not what src/ builds: ${different.join(', ')}. Run "npm run build".`);
      process.exitCode = 1;
    }
  } finally {
    await rm(folder, { recursive: true });
  }
} else {
  console.table(await buildInto(dist), ['bytes', 'gzip']);
}
