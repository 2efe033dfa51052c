import { createElement } from 'react';
import { renderToString as renderReact } from 'react-dom/server';
import { build } from 'esbuild';
import { createSSRApp } from 'vue';
import { renderToString as renderVue } from 'vue/server-renderer';
import { App as ReactApp } from '../browser/pages/react-app.js';
import { App as VueApp } from '../browser/pages/vue-app.js';
import { running, serveJobs } from './jobs.mjs';

// Pages that belong to other libraries. Each has two places for a bar: an element, and a container
// for the class. `refresh` renders the page anew, with the edition that the server has by now.
// `remove` takes both places away, and each of `restores` brings them back.

/** The `url` option gives each bar requests of its own, so that they can be counted. */
export const JOBS = { element: '/progress/by-element', class: '/progress/by-class' };

/** The interval of both bars, in milliseconds. */
export const INTERVAL = 100;

const places = `
  <div><progress-poller url="${JOBS.element}" poll-interval="${INTERVAL}"></progress-poller></div>
  <div id="place">The job is under way.</div>`;
const START = `function start(skin) {
  new ProgressPolling('place', 'by-class', {
    url: '${JOBS.class}', pollInterval: ${INTERVAL}, skin });
}`;
const start = '<script>start()</script>';

/** Wraps a body with what each page has. */
const html = (head, body) => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>Jobs</title>
    ${script('/progress/progress-polling.js', '/start.js')}
    ${head}
  </head>
  <body>${body}</body>
</html>`;

const script = (...urls) => urls.map((url) => `<script src="${url}"></script>`).join('');
const sheet = (url) => `<link rel="stylesheet" href="${url}">`;
const heading = (edition) => `<h1>Jobs ${edition}</h1>`;

/** Bundles a page's script, whose imports are packages. */
async function bundle(contents) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: new URL('../browser/pages', import.meta.url).pathname },
    bundle: true,
    format: 'iife',
    alias: { vue: 'vue/dist/vue.esm-bundler.js' },
    define: {
      'process.env.NODE_ENV': '"development"',
      __VUE_OPTIONS_API__: 'true',
      __VUE_PROD_DEVTOOLS__: 'false',
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'true',
    },
    write: false,
  });
  return outputFiles[0].text;
}

/** A page of React or Vue that makes `app`, with `edition` and `shown`, global. */
const appHost = (render, client) => ({
  pages: {
    '/': async () => html('', `<div id="app">${await render()}</div>${script('/client.js')}`),
    '/client.js': () => bundle(client),
  },
  refresh: (page, edition) => page.evaluate((given) => app.set({ edition: given }), edition),
  remove: (page) => page.evaluate(() => app.set({ shown: false })),
  restores: [(page) => page.evaluate(() => app.set({ shown: true }))],
});

const setContent = (page, selector, url) =>
  page.evaluate(([where, from]) => $(where).load(from).promise(), [selector, url]);

/** @type {Record<string, any>} */
export const HOSTS = {
  'Fomantic and jQuery': {
    pages: {
      '/': (edition) =>
        html(
          sheet('/fomantic/semantic.min.css') +
            script('/jquery/jquery.min.js', '/fomantic/semantic.min.js'),
          `<div id="top">${heading(edition)}</div>
          <div class="ui styled accordion">
            <div class="active title">Job</div><div class="active content" id="main">${places}</div>
          </div>${start}<script>$('.ui.accordion').accordion({ duration: 0 });</script>`,
        ),
      '/top': heading,
      '/main': () => places + start,
    },
    async refresh(page) {
      await page.evaluate(() => {
        $('.ui.accordion').accordion('close', 0).accordion('open', 0);
        $('#place').detach().appendTo('#main');
      });
      await setContent(page, '#top', '/top');
    },
    remove: (page) => page.evaluate(() => $('#main').empty()),
    restores: [(page) => setContent(page, '#main', '/main')],
  },

  'Bootstrap 5': {
    pages: {
      '/': (edition) =>
        html(
          sheet('/bootstrap/bootstrap.min.css') + script('/bootstrap.js'),
          `${heading(edition)}<div id="main"><div class="collapse show">${places}</div></div>
          <script>start('bootstrap')</script>`,
        ),
    },
    files: { '/bootstrap.js': 'bootstrap/dist/js/bootstrap.bundle.min.js' },
    refresh: (page, edition) =>
      page.evaluate(async (given) => {
        const content = document.querySelector('.collapse');
        const collapse = bootstrap.Collapse.getOrCreateInstance(content, { toggle: false });
        for (const [action, event] of [
          ['hide', 'hidden'],
          ['show', 'shown'],
        ]) {
          const done = new Promise((resolve) =>
            content.addEventListener(`${event}.bs.collapse`, resolve, { once: true }),
          );
          collapse[action]();
          await done;
        }
        document.querySelector('h1').textContent = `Jobs ${given}`;
      }, edition),
    remove: (page) => page.evaluate(() => document.querySelector('.collapse').remove()),
    restores: [
      (page) =>
        page.evaluate((content) => {
          document.getElementById('main').innerHTML = content;
          start('bootstrap');
        }, `<div class="collapse show">${places}</div>`),
    ],
  },

  'htmx with morph:outerHTML': htmxHost('morph:outerHTML'),
  'htmx with morph:innerHTML': htmxHost('morph:innerHTML'),
  'htmx without a morph': htmxHost('outerHTML'),

  'Turbo 8': {
    pages: {
      '/': (edition) =>
        html(
          '<meta name="turbo-refresh-method" content="morph">' +
            '<meta name="turbo-refresh-scroll" content="preserve">' +
            script('/turbo.js'),
          `${heading(edition)}<a href="/other">Other page</a><div>${places}</div>${start}`,
        ),
      '/other': () => html(script('/turbo.js'), '<h1>Other page</h1><a href="/">Jobs</a>'),
    },
    files: { '/turbo.js': '@hotwired/turbo/dist/turbo.es2017-umd.js' },
    refresh: (page) =>
      page.evaluate(() =>
        Turbo.renderStreamMessage('<turbo-stream action="refresh"></turbo-stream>'),
      ),
    remove: (page) => page.click('a[href="/other"]'),
    restores: [
      // From Turbo's cache: without a request, and so without a new edition.
      async (page) => {
        await page.goBack();
        await page.waitForSelector('h1:text-is("Jobs 3")');
      },
      // With a preview from the cache until the response is there.
      async (page) => {
        await page.click('a[href="/"]');
        await page.waitForSelector('h1:text-is("Jobs 4")');
      },
    ],
  },

  'React 19, hydrated, in StrictMode': appHost(
    () => renderReact(createElement(ReactApp)),
    `import { createElement } from 'react';
     import { hydrateRoot } from 'react-dom/client';
     import { App } from './react-app.js';
     hydrateRoot(document.getElementById('app'), createElement(App));`,
  ),

  'Vue 3': appHost(
    () => '',
    `import { createApp } from 'vue';
     import { App } from './vue-app.js';
     createApp(App).mount('#app');`,
  ),
  'Vue 3, hydrated': appHost(
    () => renderVue(createSSRApp(VueApp)),
    `import { createSSRApp } from 'vue';
     import { App } from './vue-app.js';
     createSSRApp(App).mount('#app');`,
  ),

  'a strict policy': {
    headers: {
      'Content-Security-Policy':
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
        "require-trusted-types-for 'script'; trusted-types 'none'",
    },
    pages: {
      '/': (edition) =>
        html(
          script('/pages/violations.js'),
          `${heading(edition)}<main>${places}</main>${script('/begin.js')}`,
        ),
      '/begin.js': () => 'start();',
    },
    refresh: (page, edition) =>
      page.evaluate((given) => {
        document.querySelector('h1').textContent = `Jobs ${given}`;
        const old = document.querySelector('main');
        const main = document.createElement('main');
        main.append(...old.childNodes);
        old.replaceWith(main);
      }, edition),
    remove: (page) => page.evaluate(() => document.querySelector('main').replaceChildren()),
    restores: [
      (page) =>
        page.evaluate(
          ([url, interval]) => {
            const poller = document.createElement('progress-poller');
            poller.setAttribute('url', url);
            poller.setAttribute('poll-interval', interval);
            const place = document.createElement('div');
            place.id = 'place';
            document.querySelector('main').append(poller, place);
            start();
          },
          [JOBS.element, INTERVAL],
        ),
    ],
  },
};

/**
 * htmx, whose buttons get the main part of the page from the server.
 *
 * @param {string} swap how the main part is replaced
 */
function htmxHost(swap) {
  const button = (name) =>
    `<button hx-get="/${name}" hx-target="#main" hx-swap="${swap}">${name}</button>`;
  const main = (content) =>
    swap.includes('innerHTML') ? content : `<main id="main">${content}</main>`;
  return {
    pages: {
      '/': (edition) =>
        html(
          script('/htmx.js', '/idiomorph.js', '/morph.js'),
          `<div hx-ext="morph">${button('jobs')}${button('nothing')}
            <main id="main">${heading(edition)}${places}</main></div>
          ${start}
          <script>
            addEventListener('htmx:afterSettle', () => {
              const place = document.getElementById('place');
              if (place && !place.progressPolling) start();
            });
          </script>`,
        ),
      '/jobs': (edition) => main(heading(edition) + places),
      '/nothing': () => main('<h1>Nothing</h1>'),
    },
    files: {
      '/htmx.js': 'htmx.org/dist/htmx.js',
      '/idiomorph.js': 'idiomorph/dist/idiomorph.js',
      '/morph.js': 'idiomorph/dist/idiomorph-htmx.js',
    },
    refresh: (page) => page.click('button:text("jobs")'),
    remove: (page) => page.click('button:text("nothing")'),
    restores: [(page) => page.click('button:text("jobs")')],
  };
}

/** Serves the pages of a host, and jobs that a test controls. `site.edition` is in each heading. */
export async function serveHost({ pages, files = {}, headers = {} }) {
  const site = { edition: 0 };
  const known = { '/start.js': () => START, '/favicon.ico': () => '', ...pages };
  const answer = (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const render = known[pathname];
    if (!render) return false;
    const type = pathname.endsWith('.js') ? 'text/javascript' : 'text/html; charset=utf-8';
    Promise.resolve(render(site.edition)).then((body) =>
      response.writeHead(200, { 'Content-Type': type, ...headers }).end(body),
    );
    return true;
  };
  const packages = Object.entries(files).map(([path, file]) => [
    path,
    new URL(`../../node_modules/${file}`, import.meta.url),
  ]);
  const jobs = await serveJobs({ answer, headers, files: Object.fromEntries(packages) });
  jobs.record = running(42);
  return Object.assign(jobs, { site });
}
