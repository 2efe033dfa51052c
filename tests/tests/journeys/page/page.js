// Follows the jobs in the query, each in the way that the query names, and starts a job on a click.

const bars = document.getElementById('bars');
const query = new URLSearchParams(location.search);
const showLog = query.has('log');

const follow = {
  element(job) {
    const bar = document.createElement('progress-poller');
    bar.setAttribute('job-id', job);
    // Without a shadow root, so that the tests find the parts of the bar.
    bar.setAttribute('skin', 'semantic');
    bar.setAttribute('allow-cancel', '');
    bar.toggleAttribute('show-log', showLog);
    bars.append(bar);
  },
  object: (job) => new ProgressPolling(place(job), job, { allowCancel: true, showLog }),
  // Bars share requests only if they have the same function for their headers.
  alone: (job) => new ProgressPolling(place(job), job, { headers: () => ({}) }),
};

function place(job) {
  const node = document.createElement('div');
  node.id = job;
  bars.append(node);
  return node;
}

for (const [shape, job] of query) follow[shape]?.(job);

document.getElementById('start').addEventListener('click', async () => {
  const response = await fetch('jobs', { method: 'POST' });
  const { job_id: job } = await response.json();
  query.append('element', job);
  // So that a reloaded page follows it as well.
  history.replaceState(null, '', `?${query}`);
  follow.element(job);
});
