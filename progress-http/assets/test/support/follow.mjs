import { ProgressPoller } from '../../src/poller.js';
import { FakeClock, FakeServer } from './fakes.mjs';

/** Creates a poller with a fake clock and a fake server, and records its events. */
export function follow(answers, options = {}) {
  const clock = new FakeClock();
  const server = new FakeServer(clock, answers);
  const poller = new ProgressPoller('a job', {
    clock,
    fetch: server.fetch,
    random: () => 1,
    ...options,
  });
  const events = [];
  const types =
    'start progress complete error cancelled settled retry signedout'.split(' ');
  for (const type of types) {
    poller.addEventListener(type, ({ detail }) => events.push({ type, ...detail }));
  }
  return {
    clock,
    server,
    poller,
    events,
    told: (type) => events.filter((event) => event.type === type),
  };
}
