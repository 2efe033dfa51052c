import { endpointBeside } from './urls.js';

/** @type {string | undefined} */
let script;

/** @param {string | undefined} url where this script was loaded from; only its entry point can tell */
export function loadedFrom(url) {
  script = url;
}

/** The place of the records when the page does not name one. */
export function defaultEndpoint() {
  return endpointBeside(script, location.origin);
}
