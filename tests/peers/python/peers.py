"""Measures an item and a poll of Django with a model in SQLite, and of celery-progress with Redis.

A poll is one call of the WSGI handler, without a socket and without middleware. Django's connection
to SQLite stays open between polls. Prints `figure | value | limit | ratio`: medians of the rounds.

Run it with `cargo xtask bench --peers`, which installs `requirements.txt` and starts the Redis
server of the variable REDIS_URL.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from wsgiref.util import setup_testing_defaults

import django
from celery import Celery
from django.conf import settings

ROUNDS = 5 if "--quick" in sys.argv else 15
CALLS = 1_000

folder = tempfile.TemporaryDirectory()
settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(folder.name, "bench.db"),
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
            },
        }
    },
)
django.setup()
app = Celery("peers", backend=os.environ["REDIS_URL"])

# Django and celery must be set up before these are imported or declared.
from celery_progress.backend import ProgressRecorder  # noqa: E402
from celery_progress.views import get_progress  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402


class Job(models.Model):
    done = models.IntegerField(default=0)
    total = models.IntegerField()

    class Meta:
        app_label = "peers"


def poll(request, job):
    return JsonResponse(Job.objects.values("id", "done", "total").get(pk=job))


urlpatterns = [path("jobs/<int:job>", poll), path("celery/<task_id>", get_progress)]


def django_items(job):
    for _ in range(CALLS):
        Job.objects.filter(pk=job).update(done=models.F("done") + 1)


@app.task(bind=True)
def celery_items(task):
    recorder = ProgressRecorder(task)
    for number in range(1, CALLS + 1):
        recorder.set_progress(number, CALLS)


def get(handler, path):
    """Answers a request as a server does, and returns the body."""
    environ = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    statuses = []
    response = handler(environ, lambda status, headers: statuses.append(status))
    body = b"".join(response)
    response.close()
    assert statuses == ["200 OK"], statuses
    return body


def polls(path):
    handler = WSGIHandler()
    return lambda: [get(handler, path) for _ in range(CALLS)]


def main():
    with connection.schema_editor() as editor:
        editor.create_model(Job)
    with connection.cursor() as cursor:
        for name, value in (("journal_mode", "wal"), ("synchronous", 1)):
            assert cursor.execute(f"PRAGMA {name}").fetchone() == (value,)
    job = Job.objects.create(total=ROUNDS * CALLS).pk
    rows = {
        "Django, an item: `update(done=F('done') + 1)`, SQLite": lambda: django_items(job),
        "celery-progress, an item: `set_progress`, Redis": lambda: celery_items.apply(task_id="a"),
        "Django, a poll: a view of a row in SQLite": polls(f"/jobs/{job}"),
        "celery-progress, a poll: its view, Redis": polls("/celery/a"),
    }
    times = {name: [] for name in rows}
    for _ in range(ROUNDS):
        for name, run in rows.items():
            begun = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - begun) / CALLS)
    assert json.loads(get(WSGIHandler(), f"/jobs/{job}"))["done"] == ROUNDS * CALLS
    assert json.loads(get(WSGIHandler(), "/celery/a"))["progress"]["current"] == CALLS
    for name, of_rounds in times.items():
        print(f"{name} | {statistics.median(of_rounds) * 1e6:.0f} us | - | -")
    print(f"version | Python | {platform.python_version()}")
    for package in ("Django", "celery", "celery-progress"):
        print(f"version | {package} | {version(package)}")
    print(f"version | Redis | {app.backend.client.info()['redis_version']}")


main()
