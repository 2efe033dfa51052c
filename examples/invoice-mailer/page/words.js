// The texts of the page, in the language that the server has chosen.

/** The language of the texts, numbers and dates. */
export const LANGUAGE = document.documentElement.lang;

const words = await (await fetch(document.getElementById('words').href)).json();
const plurals = new Intl.PluralRules(LANGUAGE);

/** Returns a text with its placeholders replaced. */
export function text(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Returns the plural form of a text for a count. */
export function counted(key, count, values) {
  const form = `${key}_${plurals.select(count)}`;
  return text(form in words ? form : `${key}_other`, values);
}
