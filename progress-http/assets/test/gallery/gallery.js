// Draws all states. Query parameters: `theme`, `lang`, `dir`, `skin`, `only`, `wide` (in pixels), a
// framework's `sheet`, and `as=element` to show them in the shadow roots of elements.
import { ProgressPolling } from '/progress/progress-polling.mjs';
import { states } from '/gallery/states.js';

const wanted = new URLSearchParams(location.search);
const { documentElement: root } = document;
if (wanted.has('theme')) root.dataset.theme = wanted.get('theme');
if (wanted.has('lang')) root.lang = wanted.get('lang');
if (wanted.has('dir')) root.dir = wanted.get('dir');
if (wanted.has('wide')) document.querySelector('main').style.maxWidth = `${wanted.get('wide')}px`;
if (wanted.has('sheet')) {
  const link = document.createElement('link');
  Object.assign(link, { rel: 'stylesheet', href: wanted.get('sheet') });
  document.head.prepend(link);
  await new Promise((resolve) => (link.onload = resolve));
}

// The browser reports a new page as visible at any time. The widget in the state `offline` would
// then notice that it is online, so these events are blocked.
for (const type of ['visibilitychange', 'online', 'pageshow'])
  addEventListener(type, (event) => event.stopImmediatePropagation(), { capture: true });

const asElement = wanted.get('as') === 'element';

/**
 * The responses for each element, by the name of the state: its `url` contains the name, because an
 * attribute cannot hold a function.
 */
const responses = {};
if (asElement)
  globalThis.fetch = (url, init) =>
    responses[/^\/states\/([^/]+)/.exec(new URL(url, location).pathname)[1]](url, init);

/** Returns an element whose attributes are the options. */
function elementWith(name, { fetch, ...options }) {
  responses[name] = fetch;
  const element = document.createElement('progress-poller');
  const { title: heading, ...others } = { url: `/states/${name}`, ...options };
  for (const [option, value] of Object.entries({ heading, ...others }))
    if (value !== undefined)
      element.setAttribute(
        option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
        value === true ? '' : value,
      );
  return element;
}

const online = Object.getOwnPropertyDescriptor(Navigator.prototype, 'onLine');
for (const [name, { offline, ...options }] of Object.entries(states)) {
  if (wanted.has('only') && wanted.get('only') !== name) continue;
  const section = document.createElement('section');
  const heading = document.createElement('h2');
  heading.textContent = name;
  const place = asElement ? elementWith(name, options) : document.createElement('div');
  place.id = name;
  section.append(heading, place);
  document.querySelector('main').append(section);
  const widget = asElement
    ? place.progressPolling
    : new ProgressPolling(place, 'a-job', { skin: wanted.get('skin') ?? undefined, ...options });
  if (offline) {
    await new Promise((resolve) =>
      place.addEventListener('progress-polling:progress', resolve, { once: true }),
    );
    Object.defineProperty(navigator, 'onLine', { value: false, configurable: true });
    dispatchEvent(new Event('offline'));
    Object.defineProperty(navigator, 'onLine', online);
    await new Promise((resolve) => widget.addEventListener('retry', resolve, { once: true }));
  }
  globalThis.widgets = [...(globalThis.widgets ?? []), widget];
}
globalThis.drawn = true;
