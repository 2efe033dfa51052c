import { defineList } from './element.js';

export { ProgressListElement } from './element.js';

defineList();
