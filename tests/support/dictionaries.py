"""One process of a site whose dictionary changes, on the database file of the others; run as a script.

    python -m tests.support.dictionaries DICTIONARY STEP...

Prints one line of JSON: for each step what it came to.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings

WORD = "云原生平台"
"""Without a dictionary that has it, it is cut into 云, 原生 and 平台."""


def main(dictionary: str, *steps: str) -> None:
    settings.LLMREC = {**settings.LLMREC, "DICTIONARY": dictionary}
    django.setup()
    doers: dict[str, Callable[[], Any]] = {
        "open": open_shop,
        "build": build,
        "rollback": rollback,
        "save": save,
        "search": search,
    }
    print(json.dumps([doers[step]() for step in steps]))


def open_shop() -> None:
    from django.core.management import call_command

    from llmrec_plugin.models import Configuration
    from tests.hostapp.models import Product

    call_command("migrate", run_syncdb=True, verbosity=0)
    Configuration(text_weight=1.0, relax_queries=False).save()  # words alone
    Product.objects.create(title=f"{WORD}实战")
    Product.objects.create(title="陶瓷茶壶")


def build() -> str:
    from llmrec_plugin.services import indexing

    return indexing.build("product").index_version.name


def rollback() -> str:
    from llmrec_plugin.services.deployment import promotion

    return promotion.rollback("product", by="test").index_version.name


def save() -> None:
    from llmrec_plugin.services import indexing
    from tests.hostapp.models import Product

    Product.objects.create(title=f"{WORD}入门 {Product.objects.count()}")
    indexing.drain()


def search() -> dict[str, str]:
    """What is marked in the title of each item that is found."""
    from llmrec_plugin.services.search import search as found_by
    from llmrec_plugin.types import SearchRequest

    page = found_by(SearchRequest(document="product", text=WORD))
    return {item.title: item.highlights["title"] for item in page.results}


if __name__ == "__main__":
    main(*sys.argv[1:])
