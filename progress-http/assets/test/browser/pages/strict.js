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
