const form = document.querySelector('form');
const status = document.querySelector('[role=status]');

// The job is in the address, so that a reload shows it again.
const job = new URLSearchParams(location.search).get('job');
if (job) document.querySelector('progress-poller').setAttribute('job-id', job);

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const body = form.elements.file.files[0];
  form.inert = true;
  status.textContent = 'Uploading …';
  try {
    const reply = await fetch('imports', { method: 'POST', body });
    const text = await reply.text();
    if (reply.ok) location.search = `?job=${text}`;
    status.textContent = text;
  } catch {
    status.textContent = 'The server does not answer. Try again.';
  }
  form.inert = false;
});
