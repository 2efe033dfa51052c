// The little of a page that the widget needs in order to run in node.

class FakeElement extends EventTarget {
  attributes = {};
  dataset = {};
  childNodes = [];
  style = { setProperty: (name, value) => (this.style[name] = value) };
  hidden = false;
  isConnected = true;

  setAttribute(name, value) {
    this.attributes[name] = value;
  }
  removeAttribute(name) {
    delete this.attributes[name];
  }
  append(...nodes) {
    this.childNodes.push(...nodes);
  }
  replaceChildren(...nodes) {
    this.childNodes = nodes;
  }
  get children() {
    return this.childNodes.filter((node) => node instanceof FakeElement);
  }
  get textContent() {
    return this.childNodes.map((node) => node.textContent ?? node).join('');
  }
  set textContent(text) {
    this.childNodes = [text];
  }
  matches() {
    return false;
  }
  closest() {
    return null;
  }
  getRootNode() {
    return document;
  }
  get ownerDocument() {
    return document;
  }
  remove() {}

  /** Returns the part of the widget of that name. */
  part(name) {
    if (this.attributes.class?.split(' ').includes(`progress-polling-${name}`)) return this;
    for (const child of this.children) {
      const found = child.part(name);
      if (found) return found;
    }
    return null;
  }
}

/** Sets the globals of a page, and returns a function that creates a container. */
export function createFakePage() {
  class CSSStyleSheet {
    replaceSync() {}
  }
  const document = {
    hidden: false,
    adoptedStyleSheets: [],
    defaultView: { CSSStyleSheet },
    createElement: () => new FakeElement(),
    documentElement: Object.assign(new FakeElement(), { lang: 'en' }),
  };
  const globals = {
    document,
    location: new URL('http://localhost/'),
    navigator: { onLine: true },
    addEventListener: () => {},
    requestAnimationFrame: () => {},
    getComputedStyle: () => ({ getPropertyValue: () => '1' }),
  };
  for (const [name, value] of Object.entries(globals))
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  return () => new FakeElement();
}
