window.ran = [];
const hostile = new URLSearchParams(location.search).get('option') ?? 'Title';
window.widget = new ProgressPolling('place', 'by-class', {
  title: hostile,
  icon: hostile,
  showLog: true,
  allowCancel: true,
  pollInterval: 50,
  messages: { running: hostile, errors: hostile, cancel: hostile },
});

// Attributes that a page may fill in from its own data.
const element = document.createElement('progress-poller');
for (const name of ['heading', 'icon', 'lang', 'redirect-on-complete', 'when-hidden'])
  element.setAttribute(name, hostile);
for (const name of ['show-log', 'allow-cancel']) element.setAttribute(name, '');
element.setAttribute('job-id', 'by-attributes');
element.setAttribute('poll-interval', '50');
element.id = 'hostile';
document.body.append(element);
