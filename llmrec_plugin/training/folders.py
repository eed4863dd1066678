"""A tuned model as a folder that is named by its content, complete or not there at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from llmrec_plugin.exceptions import TrainingFailed

UNNAMED = ("README.md", "report.json")
"""Files that speak of the training and change nothing in the vectors."""
NAME_LENGTH = 20


def content_name(folder: Path) -> str:
    """Hash of all files but those that only speak of the training."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name not in UNNAMED:
            with path.open("rb") as file:
                whole.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()[:NAME_LENGTH]


def publish(write: Callable[[Path], None], out: Path) -> Path:
    """What `write` puts into an empty folder, as `out`/<content name>; an equal one is left as it is.

    Raises TrainingFailed where it cannot be written, as on a full disk: then nothing of it stays.
    """
    unfinished: Path | None = None
    try:
        out.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=out))
        write(unfinished)
        _refuse_pickles(unfinished)
        unfinished.chmod(0o755)
        _flush(unfinished)
        folder = out / content_name(unfinished)
        if not folder.exists():
            unfinished.rename(folder)
        return folder
    except (OSError, SafetensorError) as error:
        raise TrainingFailed(
            f"The tuned encoder could not be saved in {out}: {error}. Make room or grant the right to write, "
            "and run the same command again: it goes on from the last checkpoint."
        ) from error
    finally:
        if unfinished is not None:
            shutil.rmtree(unfinished, ignore_errors=True)


def _refuse_pickles(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.suffix in (".bin", ".pt", ".pth", ".pkl", ".pickle"):
            raise TrainingFailed(f"The tuned encoder would hold {path.name}, which can run code when loaded.")


def _flush(folder: Path) -> None:
    """Onto the disk, before the name says that it is complete."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
