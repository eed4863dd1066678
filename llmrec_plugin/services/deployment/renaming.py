"""What is kept under the label of a document, carried to another: a renamed model keeps its past."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import IntegrityError, transaction
from django.db.models import Model

from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import Configuration, Deployment, Interaction, own


def rename_document(old: str, new: str) -> dict[str, int]:
    """Carry everything that is kept under `old` to the document `new`: events, lists, indexes, models,
    rules, placements and what else names a document. Return rows carried, by table.

    Of what both have and there may be once, that of `new` stays; an index that `new` has already stays live,
    else that of `old` goes on. Raises InvalidRequest where `new` is no document, or `old` still is one.
    """
    if new not in registry.labels():
        raise InvalidRequest(f'There is no document "{new}": register it first.', parameter="new")
    if old in registry.labels():
        raise InvalidRequest(
            f'"{old}" is still a document; what is kept of it stays with it.', parameter="old"
        )
    carried: dict[str, int] = {}
    alias = own.database()
    with transaction.atomic(using=alias):
        live = Deployment.objects.filter(document=new).order_by("-id").first()
        for model in _tables():
            if count := _carry(model, old, new, alias):
                carried[model.__name__] = count
        if live is not None:
            _keep_live(live, new)
        Configuration.begin_edition(using=alias)
    return carried


def forsaken_labels() -> list[str]:
    """Return labels that no document has any more, and under which there are still events; a query for each
    label that was ever live, and one."""
    known = set(registry.labels())
    once = Deployment.objects.order_by().values_list("document", flat=True).distinct()
    return sorted(
        label for label in once if label not in known and Interaction.objects.filter(document=label).exists()
    )


def _tables() -> list[type[Model]]:
    return [
        model
        for model in apps.get_app_config("llmrec_plugin").get_models()
        if not model._meta.proxy and any(field.name == "document" for field in model._meta.concrete_fields)
    ]


def _carry(model: type[Model], old: str, new: str, alias: str) -> int:
    rows: Any = model._base_manager.using(alias).filter(document=old)
    try:
        with transaction.atomic(using=alias):
            count: int = rows.update(document=new)
            return count
    except IntegrityError:  # both have something that there may be once
        return sum(
            _carry_row(rows.filter(pk=pk), new, alias) for pk in list(rows.values_list("pk", flat=True))
        )


def _carry_row(row: Any, new: str, alias: str) -> int:
    try:
        with transaction.atomic(using=alias):
            count: int = row.update(document=new)
            return count
    except IntegrityError:
        row.delete()
        return 0


def _keep_live(live: Deployment, new: str) -> None:
    """Have what answers now go on, with the model that was carried here where it has none of its own."""
    latest = (
        Deployment.objects.filter(document=new, model_version__isnull=False)
        .filter(index_version__encoder_id=live.index_version.encoder_id)
        .order_by("-id")
        .first()
    )
    model = live.model_version or (latest.model_version if latest is not None else None)
    Deployment.objects.create(
        document=new, index_version=live.index_version, model_version=model, by="rename-document"
    )
