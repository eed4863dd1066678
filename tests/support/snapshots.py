"""What many tests begin with: each process builds it once for the same settings, and lays it out again."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from llmrec_plugin.backends import embedded, get_backend


def built_once(what: str, build: Callable[[], object]) -> None:
    """Have all rows and files there that `build` makes of an empty site.

    It is built in earnest where there is something already, or where the database or the index is no file.
    """
    is_ours = connection.vendor == "sqlite" and isinstance(get_backend(), embedded.SearchBackend)
    if not is_ours or any(model.objects.exists() for model in _models()):
        build()
        return
    own = {name: value for name, value in settings.LLMREC.items() if name != "DATA_DIR"}
    key = json.dumps([what, settings.USE_TZ, own], sort_keys=True, default=repr)
    if key in _snapshots:
        _snapshots[key].lay_out()
    else:
        build()
        _snapshots[key] = Snapshot.of_now()


@cache
def _models() -> list[Any]:
    """Of the site's and our own tables, those of pairs among them."""
    return [
        model
        for label in ("hostapp", "llmrec_plugin")
        for model in apps.get_app_config(label).get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
    ]


@dataclass(frozen=True)
class Snapshot:
    """Holds every row and file of a site that was just built."""

    rows: dict[Any, list[dict[str, Any]]]
    folder: tempfile.TemporaryDirectory[str]
    """It goes with the process."""
    at: datetime

    @classmethod
    def of_now(cls) -> Snapshot:
        folder = tempfile.TemporaryDirectory(prefix="llmrec-snapshot-")
        shutil.copytree(settings.LLMREC["DATA_DIR"], folder.name, dirs_exist_ok=True)
        rows = {model: list(model.objects.values()) for model in _models()}
        return cls({model: found for model, found in rows.items() if found}, folder, timezone.now())

    def lay_out(self) -> None:
        """Have it all in the empty database of now, as if it had been built now."""
        shutil.copytree(self.folder.name, settings.LLMREC["DATA_DIR"], dirs_exist_ok=True)
        later = timezone.now() - self.at
        with transaction.atomic():  # references hold when all is there
            for model, rows in self.rows.items():
                model.objects.bulk_create(model(**_moved(row, later)) for row in rows)


def _moved(row: dict[str, Any], later: timedelta) -> dict[str, Any]:
    return {name: value + later if isinstance(value, datetime) else value for name, value in row.items()}


_snapshots: dict[str, Snapshot] = {}
