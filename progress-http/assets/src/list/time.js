const UNITS = /** @type {const} */ ([
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  // In steps, because a text that changes every second is hard to read.
  ['second', 10],
]);

/**
 * Returns a function that says how long ago something was: "5 min. ago". A moment in the future
 * counts as now, because then a clock is wrong.
 *
 * @param {string} language
 */
export function relativeTime(language) {
  const format = new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' });
  /** @param {number} seconds */
  return (seconds) => {
    const [unit, length] = UNITS.find(([, least]) => seconds >= least) ?? ['second', Infinity];
    const count = Math.floor(seconds / length);
    return format.format(-(unit === 'second' ? count * 10 : count) || 0, unit);
  };
}
