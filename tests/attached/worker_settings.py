"""Settings of worker processes of a site that is attached to an index of its own."""

from __future__ import annotations

import os

from tests.worker_settings import *  # noqa: F403
from tests.worker_settings import INSTALLED_APPS, LLMREC

INSTALLED_APPS = [*INSTALLED_APPS, "tests.attached"]
LLMREC = {
    **LLMREC,
    "BACKEND": "llmrec_plugin.backends.elasticsearch",
    "BACKEND_OPTIONS": {"hosts": os.environ["LLMREC_TEST_ELASTICSEARCH"], "request_timeout": 30},
}
