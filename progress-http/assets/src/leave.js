/**
 * Where to go when the job is complete.
 *
 * @param {{ reloadOnComplete: boolean, redirectOnComplete: string | false }} options
 */
export function leavePage({ reloadOnComplete, redirectOnComplete }) {
  if (redirectOnComplete) {
    const target = new URL(redirectOnComplete, document.baseURI);
    // The address may come from an attribute, and an attribute from data: it must not be able to run a script.
    if (/^https?:$/.test(target.protocol)) location.assign(target);
  } else if (reloadOnComplete) location.reload();
}
