/** The gallery's query parameters for the widget alone and with each framework. */
export const FRAMEWORKS = {
  alone: {},
  fomantic: { sheet: '/fomantic/semantic.min.css' },
  bootstrap: { sheet: '/bootstrap/bootstrap.min.css', skin: 'bootstrap' },
};
