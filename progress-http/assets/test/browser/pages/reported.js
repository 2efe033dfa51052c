// Records what the console of the page reports.
window.reported = [];
addEventListener('error', ({ message }) => window.reported.push(message), true);
addEventListener('unhandledrejection', ({ reason }) => window.reported.push(String(reason)));
for (const level of ['error', 'warn']) {
  const report = console[level];
  console[level] = (...values) => {
    window.reported.push(values.join(' '));
    report.apply(console, values);
  };
}
