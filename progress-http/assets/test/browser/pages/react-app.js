import { StrictMode, createElement, useEffect, useRef, useState } from 'react';

// With React: the element, and the class in a component.

function Bar() {
  const place = useRef(null);
  useEffect(() => {
    const widget = new ProgressPolling(place.current, 'by-class', {
      url: '/progress/by-class',
      pollInterval: 100,
    });
    return () => widget.destroy();
  }, []);
  return createElement('div', { id: 'place', ref: place });
}

function Page() {
  const [{ edition, shown }, setState] = useState({ edition: 0, shown: true });
  useEffect(() => {
    globalThis.app = { set: (change) => setState((state) => ({ ...state, ...change })) };
  }, []);
  return createElement(
    'main',
    null,
    createElement('h1', null, `Jobs ${edition}`),
    shown &&
      createElement('progress-poller', { url: '/progress/by-element', 'poll-interval': '100' }),
    shown && createElement(Bar),
  );
}

export const App = () => createElement(StrictMode, null, createElement(Page));
