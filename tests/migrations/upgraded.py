"""A filled database of an earlier release on the code of today: brought up to date, and used."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from llmrec_plugin.documents import registry
from llmrec_plugin.models import Configuration, Experiment
from llmrec_plugin.services import privacy, recommendations
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.search import search
from llmrec_plugin.types import SearchRequest
from tests.migrations import filled, site


def report(dump: Path, database: Path) -> dict[str, Any]:
    """Upgrade as docs/production.md says, and return what a visitor, an editor and a developer then see."""
    filled.load(dump.read_text(encoding="utf-8"), database)
    call_command("migrate", run_syncdb=True, verbosity=0)
    site.open_site(renamed=True)
    built = command("build", "--rebuild", "--drop-former")
    return {
        "built": built,
        "drained": command("drain"),
        "audit": command("audit"),
        "tables without a row": empty_tables(),
        "garden": titles("garden"),
        "synonym": titles("sprinkler"),
        "renamed": titles("brass"),
        "for ann": for_you(site.ANN),
        "with the hose": [item.title for item in recommendations.also_bought("product", 5).results],
        "learned": [label for label in registry.labels() if live_pair(label).model_version is not None],
        "window": [item.title for item in recommendations.recommend("window", document="product").results],
        "ben": privacy.consent_of(str(site.BEN)),
        "events of ann": len(privacy.export_user(str(site.ANN))["interactions"]),
        "freshness": Configuration.current().freshness_weight,
        "experiments": list(Experiment.objects.values_list("name", "state")),
        "pages": pages(),
    }


def command(*words: str) -> Any:
    printed = StringIO()
    call_command("llmrec", *words, "--json", stdout=printed)
    return json.loads(printed.getvalue())


def empty_tables() -> list[str]:
    owned = [model for model in apps.get_app_config(filled.APP).get_models() if not model._meta.proxy]
    return [model.__name__ for model in owned if not model._default_manager.exists()]


def titles(text: str) -> list[str]:
    return [item.title for item in search(SearchRequest(document="product", text=text)).results]


def for_you(user: int) -> list[str]:
    page = recommendations.recommend("for-you", user_key=str(user), document="product")
    return [item.title for item in page.results]


def pages() -> dict[str, int]:
    """Page of the admin -> its status: the list of each table, and the page of its first row."""
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.get(pk=site.EDITOR))
    found: dict[str, int] = {}
    for model in admin.site._registry:
        if model._meta.app_label != filled.APP:
            continue
        name = f"admin:{filled.APP}_{model._meta.model_name}"
        addresses = [reverse(f"{name}_changelist")]
        row = model._default_manager.first()
        if row is not None and not model._meta.proxy:
            addresses.append(reverse(f"{name}_change", args=[row.pk]))
        found |= {address: client.get(address, follow=True).status_code for address in addresses}
    return found
