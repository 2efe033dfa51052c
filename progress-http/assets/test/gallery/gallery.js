// Draws the states side by side. The address may ask for `theme`, `lang`, `dir`, `skin`, `only` and a framework's
// `sheet`.
import { ProgressPolling } from '/progress/progress-polling.mjs';
import { states } from '/gallery/states.js';

const wanted = new URLSearchParams(location.search);
const { documentElement: root } = document;
if (wanted.has('theme')) root.dataset.theme = wanted.get('theme');
if (wanted.has('lang')) root.lang = wanted.get('lang');
if (wanted.has('dir')) root.dir = wanted.get('dir');
if (wanted.has('sheet')) {
  const link = document.createElement('link');
  Object.assign(link, { rel: 'stylesheet', href: wanted.get('sheet') });
  document.head.prepend(link);
  await new Promise((resolve) => (link.onload = resolve));
}

// A new page is told that it is visible whenever the browser finds the time, and widgets look around then: the one that
// believes to be offline would find out that it is not.
for (const type of ['visibilitychange', 'online', 'pageshow'])
  addEventListener(type, (event) => event.stopImmediatePropagation(), { capture: true });

const online = Object.getOwnPropertyDescriptor(Navigator.prototype, 'onLine');
for (const [name, { offline, ...options }] of Object.entries(states)) {
  if (wanted.has('only') && wanted.get('only') !== name) continue;
  const section = document.createElement('section');
  const heading = document.createElement('h2');
  heading.textContent = name;
  const place = document.createElement('div');
  place.id = name;
  section.append(heading, place);
  document.querySelector('main').append(section);
  const widget = new ProgressPolling(place, 'a-job', { skin: wanted.get('skin') ?? undefined, ...options });
  if (offline) {
    await new Promise((resolve) => place.addEventListener('progress-polling:progress', resolve, { once: true }));
    Object.defineProperty(navigator, 'onLine', { value: false, configurable: true });
    dispatchEvent(new Event('offline'));
    Object.defineProperty(navigator, 'onLine', online);
  }
  globalThis.widgets = [...(globalThis.widgets ?? []), widget];
}
globalThis.drawn = true;
