"""A shop whose products come in families that follow each other by a rule, for what learns rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import numpy as np
from django.utils import timezone

from llmrec_plugin.models import Configuration, IndexVersion, Interaction
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.recommendations import recommend
from tests.hostapp.models import Brand, Product
from tests.support.snapshots import built_once

FAMILIES = ["oak", "pine", "wool", "glass", "steel", "clay", "paper", "silk"]
THINGS = ["box", "cup", "bowl", "frame", "stool", "tray", "vase", "lamp", "shelf", "hook"]

Products = dict[tuple[int, int], Product]
"""By the numbers of family and thing."""


def wares(texts: Callable[[str, str], tuple[str, str]]) -> Products:
    """Eighty indexed products; `texts` gives the title and the description for family and thing, the latter
    beginning with the family."""
    said = [texts(of, what) for of in FAMILIES for what in THINGS]
    built_once(f"wares {said}", lambda: _build(said))
    return numbered()


def _build(said: Sequence[tuple[str, str]]) -> None:
    brand = Brand.objects.create(name="Acme")
    Product.objects.bulk_create(
        Product(
            title=title,
            description=description,
            brand=brand,
            price=5,
            in_stock=True,
            created=timezone.now(),
        )
        for title, description in said
    )
    build("product")
    IndexVersion.objects.update(floor=None)


def numbered() -> Products:
    """Those that are there, by their numbers."""
    return {
        divmod(number, len(THINGS)): product for number, product in enumerate(Product.objects.order_by("pk"))
    }


def live(products: Products, following: Callable[[int], int], *, users: int, length: int) -> None:
    """Users take one thing after the other, the next from the family that `following` gives."""
    draw = np.random.default_rng(0)
    start = timezone.now() - timedelta(days=2)
    events = []
    for user in range(users):
        family = int(draw.integers(len(FAMILIES)))
        for place in range(length):
            item = products[family, int(draw.integers(len(THINGS)))]
            events.append(
                Interaction(
                    user_key=f"u{user}",
                    document="product",
                    item_id=str(item.pk),
                    kind="purchase",
                    at=start + timedelta(minutes=place * users + user),
                )
            )
            family = following(family) % len(FAMILIES)
    Interaction.objects.bulk_create(events)


def families_for(products: Products, family: int) -> list[str]:
    """Of what is recommended to somebody new who just bought from the family."""
    user = f"new-{family}-{Interaction.objects.count()}"
    Interaction.objects.create(
        user_key=user,
        document="product",
        item_id=str(products[family, 0].pk),
        kind="purchase",
        at=timezone.now(),
    )
    page = recommend("for-you", document="product", user_key=user, limit=8)
    return [item.object.description.split()[0] for item in page.results]


def only_texts() -> None:
    """Likeness alone, so that the texts and not the neighbours decide what is seen."""
    Configuration(
        recommendation_taste=1.0, recommendation_neighbours=0.0, recommendation_popularity=0.0, diversity=0.0
    ).save()
