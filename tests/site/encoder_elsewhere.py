"""An encoder of a site's own whose library is only installed where it runs."""

from __future__ import annotations

import library_that_is_only_elsewhere  # type: ignore[import-not-found]


def build(spec: object) -> object:
    return library_that_is_only_elsewhere.encoder(spec)
