import { serve } from './server.mjs';

/**
 * A server with jobs that a test controls. It answers every status request with `jobs.record`,
 * unless `jobs.respond` answers it. `options.answer` is called for requests of other paths.
 *
 * @param {Parameters<typeof serve>[0]} [options]
 */
export async function serveJobs(options = {}) {
  const jobs = { record: {}, requests: [], respond: null, entries: [] };
  const answer = (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost');
    if (!pathname.startsWith('/progress/') || /\.(m?js|css)$/.test(pathname))
      return options.answer?.(request, response) ?? false;
    const ids = searchParams.get('ids')?.split(',') ?? null;
    jobs.requests.push({
      at: performance.now(),
      method: request.method,
      path: pathname,
      ids,
      headers: request.headers,
    });
    if (jobs.respond?.(request, response)) return true;
    if (ids) {
      const found = ids.map((id) => ({ ...jobs.record, job_id: id }));
      return (send(response, { count: found.length, jobs: found, next: null }), true);
    }
    if (pathname.endsWith('/log')) {
      const after = Number(searchParams.get('after'));
      send(response, {
        entries: jobs.entries.filter(({ seq }) => seq > after),
        next_after: jobs.entries.length,
        dropped: 0,
      });
    } else send(response, jobs.record);
    return true;
  };
  const server = await serve({ ...options, answer });
  const polls = () =>
    jobs.requests.filter(({ method, path }) => method === 'GET' && !path.endsWith('/log'));
  return Object.assign(jobs, server, { polls });
}

export function send(response, body, status = 200, headers = {}) {
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
    ...headers,
  });
  response.end(JSON.stringify(body));
}

export const running = (processed, more = {}) => ({
  job_id: 'a-job',
  status: 'running',
  total_items: 100,
  processed_items: processed,
  failed_items: 0,
  remaining_items: 100 - processed,
  progress_percentage: processed,
  custom_title: 'Sending invoices',
  current_message: `Item ${processed}`,
  version: processed + 1,
  ...more,
});

export const completed = (more = {}) => ({
  ...running(100),
  status: 'completed',
  duration: 12.3,
  version: 1000,
  ...more,
});
