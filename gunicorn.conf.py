"""How the site is served: `gunicorn project.wsgi` reads this file.

Environment: PORT (8000), WEB_WORKERS (processes, 2), WEB_THREADS (per process, 4).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

bind = f"0.0.0.0:{os.environ.get('PORT', '8000')}"
# A query is encoded on one core, so it is processes that serve more visitors at once; threads wait for the
# database and the search engine.
workers = int(os.environ.get("WEB_WORKERS", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))
# project/wsgi.py loads the encoders in the background. In a master that is about to fork, that would leave
# its children with locks that nobody releases; so each worker imports the site for itself.
preload_app = False
timeout = 60
graceful_timeout = 30
# Longer than proxies keep their connections open, or they would now and then send into a closed one.
keepalive = 75


def on_starting(server: Any) -> None:
    """One folder in which all processes count for api/metrics/, unless the environment names one."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        server.metrics_folder = tempfile.mkdtemp(prefix="llmrec-metrics-")
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = server.metrics_folder


def child_exit(server: Any, worker: Any) -> None:
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    if folder := getattr(server, "metrics_folder", ""):
        shutil.rmtree(folder, ignore_errors=True)
