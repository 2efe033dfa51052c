// The texts of the page, in the language in which the server has written it.

/** What numbers and dates follow as well. */
export const LANGUAGE = document.documentElement.lang;

const words = await (await fetch(document.getElementById('words').href)).json();
const plurals = new Intl.PluralRules(LANGUAGE);

/** A text, with values in the place of their names. */
export function text(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** The form of a text that goes with a count. */
export function counted(key, count, values) {
  const form = `${key}_${plurals.select(count)}`;
  return text(form in words ? form : `${key}_other`, values);
}
