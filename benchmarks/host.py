"""Starts the throw-away site and fills it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def start(folder: Path, encoder: str) -> None:
    """Set up Django on an empty database in `folder`, with `encoder` for all items."""
    os.environ["LLMREC_BENCH_DIR"] = str(folder)
    os.environ["LLMREC_BENCH_ENCODER"] = encoder
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.site.settings"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def load(items: Sequence[tuple[str, str, str]]) -> None:
    """Store (id, title, description) rows; the indexes do not know them yet."""
    from llmrec_plugin.models import ImportedItem

    ImportedItem.objects.bulk_create(
        [
            ImportedItem(id=key, document="item", text={"title": title, "description": description})
            for key, title, description in items
        ],
        batch_size=2000,
        ignore_conflicts=True,
    )
