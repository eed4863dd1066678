"""Starts the throw-away site and fills it."""

from __future__ import annotations

import os
import resource
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


def peak_mb() -> float:
    """Highest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident_mb() -> float:
    """Resident memory of this process now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
