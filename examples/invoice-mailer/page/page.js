// The page of invoices: starts jobs, and shows all of them in a list.
//
// The list (the element progress-list, which the server mounts beside the records) polls the jobs.
// The page's own requests may fail while the server restarts; the page then shows a notice and
// retries.

import { JobDetails } from './details.js';
import { setText } from './elements.js';
import { notice } from './pacing.js';
import { SendForm } from './send-form.js';
import { text } from './words.js';

const list = document.querySelector('progress-list');

// Without the list the form still works as a plain HTML form.
if (customElements.get('progress-list')) {
  new SendForm({ onChange: () => list.refresh() });
  list.addEventListener('progress-list:open', ({ detail }) => {
    const { job_id: jobId } = detail.data;
    // From the last time that the job was open.
    list.querySelector(`[slot="${jobId}"]`)?.remove();
    const { node } = new JobDetails(detail, () => list.refresh());
    node.slot = jobId;
    list.append(node);
  });
} else setText(notice.node, text('not_loaded'));
