import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { askForNotifications } from '../../src/news.js';

// What a page asks. What it shows is tested in a browser.

let asked;

/** Sets the globals of a browser in which the reader answers as given. */
function pretend({ permission, answer, isActive, construct }) {
  asked = 0;
  globalThis.Notification = class {
    static permission = permission;
    static async requestPermission() {
      asked += 1;
      return answer ?? permission;
    }
    constructor(title, options) {
      construct?.();
      structuredClone(options.data);
    }
    close() {}
  };
  // Node 20 has no `navigator`; later ones have one without `userActivation`.
  Object.defineProperty(globalThis, 'navigator', {
    value: isActive === undefined ? {} : { userActivation: { isActive } },
    configurable: true,
  });
}

afterEach(() => {
  delete globalThis.Notification;
  delete globalThis.navigator;
});

test('a click asks, and the answer is returned', async () => {
  for (const answer of ['granted', 'denied', 'default']) {
    pretend({ permission: 'default', answer, isActive: true });
    assert.equal(await askForNotifications(), answer === 'granted', answer);
    assert.equal(asked, 1);
  }
});

test('without a click nothing is asked, and an earlier answer is returned', async () => {
  for (const permission of ['granted', 'denied', 'default']) {
    pretend({ permission, answer: 'granted', isActive: false });
    assert.equal(await askForNotifications(), permission === 'granted', permission);
    assert.equal(asked, 0, permission);
  }
});

test('a browser that does not tell about clicks decides itself', async () => {
  pretend({ permission: 'default', answer: 'granted' });
  assert.equal(await askForNotifications(), true);
  assert.equal(asked, 1);
});

test('nothing is asked where no notification can be shown', async () => {
  assert.equal(await askForNotifications(), false, 'no notifications at all');
  const construct = () => {
    throw new TypeError('Illegal constructor.');
  };
  for (const permission of ['default', 'granted']) {
    pretend({ permission, answer: 'granted', isActive: true, construct });
    assert.equal(await askForNotifications(), false, 'as in Chrome on Android');
    assert.equal(asked, 0);
  }
});

test('a browser that does not know `data` is no obstacle', async () => {
  pretend({ permission: 'granted', isActive: true });
  globalThis.Notification = class extends globalThis.Notification {
    constructor() {
      super('', {});
    }
  };
  assert.equal(await askForNotifications(), true);
});
