// Asking again: not too often, and for as long as it takes.

import { setText } from './elements.js';
import { text } from './words.js';

const LONGEST_PAUSE = 15_000;

/** Says that something cannot be had at the moment, for as long as anything cannot. */
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
 * Makes a function that asks for `task` to be run: never twice at once, with a rest in between, once more when asked
 * meanwhile, and again and again, ever more slowly, while it fails. Who is in a hurry cuts the rest short.
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
      // A mistake is not mended by asking again.
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
