/**
 * Builds dist/ from src/.
 *
 *     node build.mjs             writes dist/
 *     node build.mjs --verify    builds into a temporary folder and fails where dist/ differs
 *
 * Both print the sizes, and fail where one is above its limit.
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
import { minify } from 'terser';

const here = fileURLToPath(new URL('.', import.meta.url));
const source = join(here, 'src');
const STYLE_SHEET = 'progress-polling.css';
const TYPES = ['progress-polling.d.ts', 'progress-poller.d.ts'];

/**
 * Bytes, minified and by `gzip -9`. The style sheet travels inside the script, so that one request is enough; what
 * the two weigh is counted apart.
 */
const LIMITS = {
  'headless core': 3500,
  'widget, en and fr, without its style sheet': 8000,
  'style sheet': 2000,
};

/**
 * Properties that only our own modules use, and that nothing else has: no field of the server's JSON, no option, nothing
 * that is declared to users, and none of the browser's.
 */
const INTERNAL = [
  'accept',
  'backOff',
  'cancellable',
  'cancellation',
  'channel',
  'controller',
  'due',
  'enlist',
  'etag',
  'fail',
  'hold',
  'holds',
  'indeterminate',
  'language',
  'leave',
  'line',
  'node',
  'options',
  'phase',
  'render',
  'retryAfter',
  'say',
  'silence',
  'slack',
  'tell',
  'texts',
  'valueText',
];

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

/** The same, with nothing in that place. */
const noStyleSheet = {
  name: 'no-style-sheet',
  setup(bundle) {
    bundle.onLoad({ filter: /\.css$/ }, () => ({ contents: '', loader: 'text' }));
  },
};

/** esbuild puts the modules together, terser makes them small: it gives the names that compress better. */
async function script(entry, format, plugin = styleSheetAsText) {
  const bundle = {
    absWorkingDir: here,
    entryPoints: [`src/${entry}`],
    bundle: true,
    format,
    minifySyntax: true,
    charset: 'utf8',
    target: 'es2022',
    legalComments: 'none',
    plugins: [plugin],
    tsconfigRaw: {},
    write: false,
  };
  const plain = await build(bundle);
  const asText = INTERNAL.filter((name) => plain.outputFiles[0].text.includes(`"${name}"`));
  if (asText.length) throw new Error(`properties that are also found by a text cannot be renamed: ${asText}`);
  const renamed = await build({ ...bundle, mangleProps: new RegExp(`^(${INTERNAL.join('|')})$`) });
  const { code } = await minify(renamed.outputFiles[0].text, {
    ecma: 2022,
    module: format === 'esm',
    toplevel: true,
    compress: {
      passes: 3,
      lhs_constants: false,
      hoist_funs: true,
      sequences: false,
      pure_getters: true,
      unsafe_arrows: true,
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
    [STYLE_SHEET]: await minifiedStyleSheet(),
  };
  for (const name of TYPES) texts[name] = await readFile(join(source, name), 'utf8');
  const files = Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, describe(text)]));
  const manifest = `${JSON.stringify({ source: await sourceHash(), files }, null, 2)}\n`;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries({ ...texts, 'manifest.json': manifest })) {
    await writeFile(join(folder, name), text);
  }
  return files;
}

/** Prints what weighs how much. */
async function weigh(files) {
  const gzip = {
    'headless core': files['progress-poller.mjs'].gzip,
    'widget, en and fr, without its style sheet': describe(await script('entry-classic.js', 'iife', noStyleSheet)).gzip,
    'style sheet': files[STYLE_SHEET].gzip,
  };
  for (const [name, limit] of Object.entries(LIMITS)) {
    console.log(`${String(gzip[name]).padStart(6)} of ${limit} bytes: ${name}`);
    if (gzip[name] > limit) {
      console.error(`The ${name} has grown beyond its limit.`);
      process.exitCode = 1;
    }
  }
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
    await weigh(await buildInto(folder));
    const different = await differences(folder, dist);
    if (different.length) {
      console.error(`dist/ is not what src/ builds: ${different.join(', ')}. Run "npm run build".`);
      process.exitCode = 1;
    }
  } finally {
    await rm(folder, { recursive: true });
  }
} else {
  const files = await buildInto(dist);
  console.table(files, ['bytes', 'gzip']);
  await weigh(files);
}
