"""Whether the site's database routers leave our tables together, and where they can be made."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, register
from django.db import router

from llmrec_plugin.checks.messages import error

_PAGE = 'docs/databases.md has a router that does: the app label is "llmrec_plugin".'


@register("llmrec")
def check_routers(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E041 and E042; asks routers, and no database."""
    models = [model for model in apps.get_app_config("llmrec_plugin").get_models() if not model._meta.proxy]
    places: dict[str, list[str]] = defaultdict(list)
    for model in models:
        places[router.db_for_write(model)].append(model.__name__)
    if len(places) > 1:
        told = "; ".join(f"{alias}: {', '.join(sorted(names))}" for alias, names in sorted(places.items()))
        message = f"The routers write tables of llmrec_plugin to {len(places)} databases ({told})."
        cure = f"Send them all to one, since what they keep is written in one transaction. {_PAGE}"
        return [error(41, message, cure)]
    (alias,) = places
    missing = sorted(model.__name__ for model in models if not router.allow_migrate_model(alias, model))
    if missing:
        message = (
            f'The routers write tables of llmrec_plugin to "{alias}", and do not let migrate make them '
            f"there: {', '.join(missing)}."
        )
        return [error(42, message, f"Let allow_migrate return True or None for it. {_PAGE}")]
    return []
