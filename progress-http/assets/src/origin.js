import { endpointBeside } from './urls.js';

/** @type {string | undefined} */
let script;

/** @param {string | undefined} url of this script, which only the entry point knows */
export function loadedFrom(url) {
  script = url;
}

/** Returns the endpoint for pages that set none: the folder that served this script. */
export function defaultEndpoint() {
  return endpointBeside(script, location.origin);
}
