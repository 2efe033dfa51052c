/**
 * Builds dist/ from src/.
 *
 *     node build.mjs             writes dist/
 *     node build.mjs --verify    builds into a temporary folder and fails if dist/ differs
 *
 * Both print the sizes, warn if a file grew by more than 3 %, and fail if it exceeds its limit.
 *
 * dist/manifest.json has two parts. `source` is the SHA-256, in hexadecimal, over all files below
 * src/ in the order of their paths (compared byte by byte). Each file contributes its path relative
 * to src/ with forward slashes, a NUL, its bytes, and a NUL. A test without node recomputes it to
 * detect an outdated build. `files` has the `sha384` of each built file in base64 (as in an
 * `integrity` attribute), its size, and its size after `gzip -9`.
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, transform } from 'esbuild';
import { minify } from 'terser';

const here = fileURLToPath(new URL('.', import.meta.url));
const source = join(here, 'src');
const dist = join(here, 'dist');
/** The style sheets: that of the widget is inside its script as well, that of the list is not. */
const STYLE_SHEETS = ['progress-polling.css', 'progress-list.css'];
const TYPES = [
  'progress-polling.d.ts',
  'progress-poller.d.ts',
  'progress-list.d.ts',
  'progress-news.d.ts',
];

/** The module that the list imports when it runs, and the sources that it contains. */
const WIDGET = './progress-polling.mjs';
const SHARED = /\/shared\.js$/;

/** Size limits in bytes, minified and after `gzip -9`. */
const LIMITS = {
  'progress-polling.js': 12_000,
  'progress-poller.mjs': 3500,
  'progress-polling.css': 2500,
  'progress-list.js': 6000,
  'progress-list.css': 2000,
  'progress-news.js': 1200,
};

/** The oldest browsers in which the widget works. README.md and docs/page.md name them as well. */
const BASELINE = ['chrome111', 'edge111', 'firefox113', 'safari16.4'];

/** A file that grew by more than this factor since the previous build causes a warning. */
const NOTABLE_GROWTH = 1.03;

async function minifiedStyleSheet(path) {
  const { code } = await transform(await readFile(path, 'utf8'), {
    loader: 'css',
    minify: true,
    target: BASELINE,
  });
  // Spaces that esbuild keeps, most of them in the values of custom properties.
  return code.replace(/([:,]) | (\*) /g, '$1$2');
}

/** Replaces an import of the style sheet by its minified text. */
const styleSheetAsText = {
  name: 'style-sheet-as-text',
  setup(bundle) {
    bundle.onLoad({ filter: /\.css$/ }, async ({ path }) => ({
      contents: (await minifiedStyleSheet(path)).trim(),
      loader: 'text',
    }));
  },
};

/** Lets the list import the widget's code from the widget's module, which is beside it. */
const widgetAsModule = {
  name: 'widget-as-module',
  setup(bundle) {
    bundle.onResolve({ filter: SHARED }, ({ importer }) =>
      importer.startsWith(join(source, 'list')) ? { path: WIDGET, external: true } : undefined,
    );
  },
};

/** Bundles a script with esbuild and minifies it with terser, which finds more to leave out. */
async function script(entry, format) {
  const bundle = await build({
    absWorkingDir: here,
    entryPoints: [`src/${entry}`],
    bundle: true,
    format,
    // The names that esbuild gives compress better than those of terser.
    minifyIdentifiers: true,
    // Members that only the modules of the widget use.
    mangleProps: /^_/,
    minifySyntax: true,
    charset: 'utf8',
    target: BASELINE,
    legalComments: 'none',
    plugins: [styleSheetAsText, widgetAsModule],
    tsconfigRaw: {},
    write: false,
  });
  const { code } = await minify(bundle.outputFiles[0].text, {
    ecma: 2022,
    module: format === 'esm',
    toplevel: true,
    // No getter of the sources has a side effect, none replaces a built-in object, and no result
    // depends on the order of a multiplication. "unsafe_comps" would change comparisons with NaN.
    compress: {
      passes: 4,
      pure_getters: true,
      unsafe: true,
      unsafe_arrows: true,
      unsafe_math: true,
      unsafe_methods: true,
    },
  });
  return `${code}\n`;
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
    'progress-poller.mjs': await script('entry-poller.js', 'esm'),
    'progress-list.js': await script('list/entry.js', 'esm'),
    'progress-news.js': await script('news.js', 'esm'),
  };
  for (const name of STYLE_SHEETS) texts[name] = await minifiedStyleSheet(join(source, name));
  for (const name of TYPES) texts[name] = await readFile(join(source, name), 'utf8');
  const files = Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name, describe(text)]),
  );
  const manifest = `${JSON.stringify({ source: await sourceHash(), files }, null, 2)}\n`;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries({ ...texts, 'manifest.json': manifest })) {
    await writeFile(join(folder, name), text);
  }
  return files;
}

/** Returns the files of the previous build, or nothing if there is none. */
async function previousFiles() {
  const text = await readFile(join(dist, 'manifest.json'), 'utf8').catch(() => '{}');
  return JSON.parse(text).files ?? {};
}

/** Compares the sizes with their limits and with the previous build. */
function compareSizes(files, previous) {
  for (const [name, limit] of Object.entries(LIMITS)) {
    const { gzip } = files[name];
    console.log(`${String(gzip).padStart(6)} of ${limit} bytes: ${name}`);
    const before = previous[name]?.gzip ?? gzip;
    if (gzip > before * NOTABLE_GROWTH)
      console.warn(`Warning: ${name} grew from ${before} to ${gzip} bytes.`);
    if (gzip > limit) {
      console.error(`Size limit exceeded: ${name}.`);
      process.exitCode = 1;
    }
  }
}

/** Returns the names of files that are missing in one of the folders, or differ. */
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

const previous = await previousFiles();
if (process.argv.includes('--verify')) {
  const folder = await mkdtemp(join(tmpdir(), 'progress-polling-'));
  try {
    compareSizes(await buildInto(folder), previous);
    const different = await differences(folder, dist);
    if (different.length) {
      console.error(`dist/ is out of date: ${different.join(', ')}. Run "npm run build".`);
      process.exitCode = 1;
    }
  } finally {
    await rm(folder, { recursive: true });
  }
} else {
  const files = await buildInto(dist);
  console.table(files, ['bytes', 'gzip']);
  compareSizes(files, previous);
}
