"""A database with a row in every table of the plugin, as one release left it, written as SQL.

`fill` makes it with the code of today; `dump` and `load` carry the plugin's tables alone: those of the host
and of Django are made anew by whatever version the test runs with.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from io import StringIO
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.db import models

from llmrec_plugin.documents import registry
from llmrec_plugin.services import interactions, privacy, recommendations
from llmrec_plugin.services.curation import configure
from llmrec_plugin.services.indexing import mark
from llmrec_plugin.services.profiles.refresh import refresh
from llmrec_plugin.services.search import search
from llmrec_plugin.types import SearchRequest
from tests.hostapp.models import Product
from tests.migrations import site
from tests.support import trials
from tests.support.serving import did

APP = "llmrec_plugin"
ROWS: dict[str, dict[str, Any]] = {
    "Rule": {
        "name": "garden first",
        "action": "pin",
        "items": ["7"],
        "match": "exact",
        "phrases": ["garden"],
    },
    "Synonym": {"words": "sprinkler\nlawn mower"},
    "Placement": {"name": "window", "type": "latest"},
    "Judgment": {"query": "garden", "query_id": "1", "grade": 2},
    "Dictionary": {"content": "量子阅读法"},
    "SynonymSuggestion": {
        "words": "bucket\nwatering can",
        "evidence": {"reasons": ["reworded"], "examples": [["bucket", "watering can", 5]]},
    },
}
"""Model -> what its row is told; the rest of a row, and rows of other models, are made up."""


def fill() -> None:
    """Use the site until every table has rows."""
    site.open_site(renamed=False)
    call_command("llmrec", "build", stdout=StringIO())
    for source in registry.interaction_sources:
        interactions.reconcile(source)
    products = Product.objects.in_bulk()
    for user, kind, pk in (
        (site.ANN, "view", 5),
        (site.ANN, "cart", 6),
        (site.ANN, "dismiss", 12),
        (site.BEN, "view", 9),
    ):
        did(str(user), kind, [products[pk]])
    privacy.set_consent(str(site.ANN), granted=True)
    privacy.set_consent(str(site.BEN), granted=False)
    configure(by="editor", use_floor=False, freshness_weight=0.25)
    call_command("llmrec", "train", "--document", "product", stdout=StringIO())
    for text in ("garden", "lamp"):
        search(SearchRequest(document="product", text=text, user_key=str(site.ANN)))
    recommendations.recommend("for-you", user_key=str(site.ANN), document="product")
    refresh()
    trials.running()
    for model in apps.get_app_config(APP).get_models():
        if not model._meta.proxy and (model.__name__ in ROWS or not model._default_manager.exists()):
            made_up(model)
    Product.objects.filter(title="Watering can").update(title=site.RENAMED)
    mark(Product.objects.filter(title=site.RENAMED))  # and nobody drains


def made_up(model: type[models.Model]) -> models.Model:
    """Save a row whose fields hold what is told in ROWS, their default, or some value that they can hold."""
    told = ROWS.get(model.__name__, {})
    values = {field.name: _value(field) for field in model._meta.concrete_fields if _needs_value(field)}
    with suppress(KeyError):  # an edition, a salt and the like are made by the row itself
        return model._default_manager.create(**{**values, **told})
    raise AssertionError(model)


def _needs_value(field: models.Field[Any, Any]) -> bool:
    automatic = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
    made = isinstance(field, models.AutoField | models.BigAutoField)
    return not (field.has_default() or field.null or field.blank or automatic or made)


def _value(field: models.Field[Any, Any]) -> Any:
    if field.choices:
        return next(iter(field.choices))[0]
    if field.is_relation:
        return field.related_model._default_manager.first() or made_up(field.related_model)  # type: ignore[union-attr,arg-type]
    if isinstance(field, models.DateField):
        return site.BEGINNING if isinstance(field, models.DateTimeField) else site.BEGINNING.date()
    if isinstance(field, models.FloatField | models.IntegerField):
        return 1
    if isinstance(field, models.BooleanField):
        return False
    if isinstance(field, models.BinaryField):
        return b"\x00" * 64
    if isinstance(field, models.JSONField):
        return {}
    return "product" if field.name == "document" else "1"


def dump(database: Path) -> str:
    """Return the plugin's tables, and which of its migrations were applied, as statements of SQLite."""
    with closing(sqlite3.connect(database)) as connection:
        return "\n".join([*_statements(connection), ""])


def load(sql: str, database: Path) -> None:
    """Make a database that holds what `dump` returned and nothing else."""
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(sql)
        connection.commit()


def _statements(connection: sqlite3.Connection) -> Iterator[str]:
    named = (
        "SELECT name, sql FROM sqlite_master"
        " WHERE sql IS NOT NULL AND tbl_name LIKE ? AND type = ? ORDER BY name"
    )
    tables = dict(connection.execute(named, (f"{APP}_%", "table")))
    tables |= dict(connection.execute(named, ("django_migrations", "table")))
    for name, sql in tables.items():
        yield f"{sql};"
        where = f" WHERE app = '{APP}'" if name == "django_migrations" else ""
        columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')]
        quoted = " || ',' || ".join(f'quote("{column}")' for column in columns)
        for (values,) in connection.execute(f'SELECT {quoted} FROM "{name}"{where}'):
            yield f'INSERT INTO "{name}" VALUES ({values});'
    for _name, sql in connection.execute(named, (f"{APP}_%", "index")):
        yield f"{sql};"
