// Runs before the page's own scripts and records what a user could notice: what each bar showed
// and when, bars that went backwards (also across a refresh), policy violations and script errors.
(() => {
  if (!location.protocol.startsWith('http')) return;
  const KEPT = 'progress-tests:watch';
  // Kept from one page to the next, as long as the tab is open.
  const empty = '{ "values": {}, "backwards": [], "mistakes": [] }';
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? empty);
  const keep = () => sessionStorage.setItem(KEPT, JSON.stringify(kept));
  const shown = [];
  const mistake = (text) => {
    kept.mistakes.push(`${location.pathname}: ${text}`);
    keep();
  };

  /** The elements that a selector matches, in the page and in the shadow roots of its lists. */
  const all = (selector) => {
    const lists = [...document.querySelectorAll('progress-list')];
    const roots = [document, ...lists.map(({ shadowRoot }) => shadowRoot).filter(Boolean)];
    return roots.flatMap((root) => [...root.querySelectorAll(selector)]);
  };

  /** The bars: widgets, and the rows of lists. A widget inside a row shows the job of the row. */
  const bars = () =>
    all('.progress-polling:not(.progress-list), tbody > .progress-polling-job-row').map((bar) => ({
      job: jobOf(bar),
      state: bar.dataset.state ?? '',
      // An indeterminate bar has no such attribute.
      percent: number(bar.querySelector('[role=progressbar]')?.getAttribute('aria-valuenow')),
    }));
  const jobOf = (bar) =>
    bar.parentElement.getAttribute('job-id') ||
    bar.querySelector('th .progress-polling-title')?.id ||
    bar.closest('.progress-polling-panel')?.id ||
    bar.parentElement.id;
  const number = (text) => (text ? Number(text) : null);

  const latest = new Map();
  function look() {
    for (const bar of bars()) {
      const { job, state, percent } = bar;
      if (latest.get(job)?.state === state && latest.get(job)?.percent === percent) continue;
      latest.set(job, bar);
      shown.push({ ...bar, at: performance.now() });
      if (percent === null) continue;
      if (percent < kept.values[job]) {
        kept.backwards.push(`${job}: ${percent} % after ${kept.values[job]} %`);
      }
      kept.values[job] = percent;
      keep();
    }
  }

  addEventListener(
    'securitypolicyviolation',
    (event) => mistake(`${event.effectiveDirective} ${event.blockedURI}`),
    true,
  );
  addEventListener(
    'error',
    ({ message, target }) => mistake(message ?? `not loaded: ${target.src ?? target.href}`),
    true,
  );
  addEventListener('unhandledrejection', ({ reason }) => mistake(String(reason)));
  const observer = new MutationObserver(look);
  const observed = {
    subtree: true,
    childList: true,
    attributeFilter: ['data-state', 'aria-valuenow'],
  };
  observer.observe(document, observed);
  // An observer does not see into shadow roots.
  const { attachShadow } = Element.prototype;
  Element.prototype.attachShadow = function (init) {
    const root = attachShadow.call(this, init);
    if (this.localName === 'progress-list') observer.observe(root, observed);
    return root;
  };
  globalThis.watch = { all, bars, shown, kept, seen: 0 };
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) globalThis.watch.seen = performance.now();
  });
})();
