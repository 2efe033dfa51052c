"""Uses the client that openapi-python-client generates, as the module `client_of_jobs`.

Arguments: the address of the mount point, the id of a running job, and that of a completed one.
"""

import sys
from datetime import datetime
from uuid import UUID

from client_of_jobs import Client
from client_of_jobs.api.progress import (
    cancel_job,
    delete_job,
    follow_job,
    list_active_jobs,
    list_jobs,
    poll_job,
    read_log,
)
from client_of_jobs.models import EntryLevel, ListJobsStatus, Problem, Record, Status
from client_of_jobs.types import Unset

address, running, completed = sys.argv[1:]
with Client(base_url=address, headers={"x-viewer": "owner:ann"}) as client:
    polled = poll_job.sync_detailed(running, client=client)
    record = polled.parsed
    assert isinstance(record, Record), record
    assert (record.status, record.total_items) == (Status.RUNNING, 10), record
    assert isinstance(record.created_at, datetime) and record.completed_at is None, record
    assert record.metadata == {"a": [1]} and isinstance(record.owner, Unset), record

    unchanged = poll_job.sync_detailed(
        running, client=client, if_none_match=polled.headers["etag"]
    )
    assert (unchanged.status_code, unchanged.parsed) == (304, None), unchanged

    page = list_jobs.sync(client=client, status=ListJobsStatus.RUNNING)
    assert (page.count, page.jobs[0].job_id, page.next_) == (1, UUID(running), None), page
    chosen = list_jobs.sync(client=client, ids=[completed, running])
    assert [job.job_id for job in chosen.jobs] == [UUID(completed), UUID(running)], chosen
    assert list_active_jobs.sync(client=client).count == 1

    log = read_log.sync(running, client=client)
    assert (log.entries[0].level, log.entries[0].message) == (EntryLevel.ERROR, "é"), log

    events = follow_job.sync(completed, client=client)
    assert '"status":"completed"' in events, events

    cancelled = cancel_job.sync_detailed(running, client=client)
    assert cancelled.status_code == 202 and cancelled.parsed.cancel_requested, cancelled
    refused = cancel_job.sync(completed, client=client)
    assert isinstance(refused, Problem) and refused.status == 409, refused
    assert delete_job.sync_detailed(completed, client=client).status_code == 204
    missing = poll_job.sync(completed, client=client)
    assert isinstance(missing, Problem) and missing.status == 404, missing
    limit = list_jobs.sync(client=client, limit=0)
    assert isinstance(limit, Problem) and "limit" in limit.detail, limit
print("12 requests")
