// Retries with pauses until a request succeeds.

import { setText } from './elements.js';
import { text } from './words.js';

const LONGEST_PAUSE = 15_000;

/** Shows a notice while any task is failing. */
export const notice = {
  node: document.getElementById('notice'),
  failing: new Set(),
  update(task, fails) {
    if (fails) this.failing.add(task);
    else this.failing.delete(task);
    setText(this.node, this.failing.size ? text('trying_again') : '');
  },
};

/**
 * Returns a function that requests a run of `task`. Runs never overlap and have a pause of `rest`
 * milliseconds between them. A request during a run causes another run. A failed run is retried
 * after a growing pause. `urgent` ends the current pause.
 */
export function paced(task, rest = 0) {
  let wanted = false;
  let busy = false;
  let failures = 0;
  let wake = () => {};

  const pause = (milliseconds) => new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, milliseconds);
  });

  async function attempt() {
    try {
      await task();
      failures = 0;
    } catch (error) {
      // Retrying does not fix a permanent error.
      if (!error.isPassing) reportError(error);
      failures = error.isPassing ? failures + 1 : 0;
    }
    notice.update(task, failures > 0);
  }

  return async function ask({ urgent = false } = {}) {
    wanted = true;
    if (urgent) wake();
    if (busy) return;
    busy = true;
    while (wanted) {
      wanted = false;
      await attempt();
      if (failures) wanted = true;
      await pause(failures ? Math.min(LONGEST_PAUSE, 500 * 2 ** failures) : rest);
    }
    busy = false;
  };
}
