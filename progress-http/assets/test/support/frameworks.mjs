/** What the gallery is asked for to show the widget alone, or in a page of a framework whose class names it can carry. */
export const FRAMEWORKS = {
  alone: {},
  fomantic: { sheet: '/fomantic/semantic.min.css' },
  bootstrap: { sheet: '/bootstrap/bootstrap.min.css', skin: 'bootstrap' },
};
