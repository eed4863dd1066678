"""The same settings on a PostgreSQL that is started for the run: `pytest --ds=tests.settings_postgresql`."""

from __future__ import annotations

import os

from tests.support.servers import postgresql

os.environ["LLMREC_TEST_DB"] = postgresql().url

from tests.settings import *  # noqa: F403
