"""Finds the folder of a sentence-transformers model: tuned here, local path, local cache, packaged weights,
hub.

Only folders whose weights are safetensors are used: a pickle can run code when it is loaded.
"""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path

from llmrec_plugin.conf import get_settings
from llmrec_plugin.encoders.packaged import find_packaged, install_hint
from llmrec_plugin.exceptions import ConfigurationError, EncoderUnavailable

logger = logging.getLogger(__name__)

_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
_OTHER_FORMATS = ["onnx/*", "openvino/*"]
TUNED = "tuned:"
"""What the name of an encoder that was tuned on the site's events begins with."""


def find_model(name: str, revision: str = "") -> Path:
    """A folder that holds the model; raises ConfigurationError or EncoderUnavailable saying what to do."""
    if name.startswith(TUNED):
        return _tuned(name)
    if (folder := Path(name).expanduser()).is_dir():
        return _usable(folder, name)
    if name.startswith(("/", ".", "~")) or name.count("/") > 1 or "\\" in name:
        raise ConfigurationError(f'The encoder "{name}" is a path, but there is no such folder.')
    repository = name if "/" in name else f"sentence-transformers/{name}"
    if (cached := _from_cache(repository, revision)) is not None:
        return _usable(cached, name)
    if not revision and (packaged := find_packaged(repository)) is not None:
        return packaged
    return _usable(_from_hub(repository, revision), name)


def tuned_folder() -> Path:
    """Where tuned encoders are kept."""
    return get_settings().data_dir / "encoders"


def _tuned(name: str) -> Path:
    content = name.removeprefix(TUNED)
    if not re.fullmatch(r"[\w-]+", content):
        raise ConfigurationError(
            f'"{name}" is no name of a tuned encoder: `llmrec status` tells those in use.'
        )
    folder = tuned_folder() / content
    if not folder.is_dir():
        raise EncoderUnavailable(
            f'The encoder "{name}" was tuned on another machine, or its folder was removed: copy it to '
            f'{folder} (a LLMREC["DATA_DIR"] that all processes share needs no copies), or roll back.'
        )
    return _usable(folder, name)


def _usable(folder: Path, name: str) -> Path:
    """`folder`, if it can be loaded without running code that came with it."""
    if (folder / "adapter_config.json").is_file():
        raise ConfigurationError(
            f'The encoder "{name}" ({folder}) is an adapter to another model: '
            "merge the two and save the result."
        )
    for directory in _module_folders(folder, name):
        if list(directory.glob("pytorch_model*.bin")) and not list(directory.glob("*.safetensors")):
            raise ConfigurationError(
                f'The encoder "{name}" has its weights in {directory} only as a pickle, which can run code. '
                "Save it again in safetensors format (SentenceTransformer.save_pretrained)."
            )
    if not any(folder.rglob("*.safetensors")):
        raise ConfigurationError(f'The encoder "{name}": there are no weights (*.safetensors) in {folder}.')
    return folder


def _module_folders(folder: Path, name: str) -> list[Path]:
    """Where the parts of the model are; raises ConfigurationError for a list that cannot be read, and for one
    that leads out of the folder: what is checked here must be what is loaded."""
    listing = folder / "modules.json"
    if not listing.is_file():
        return [folder]
    try:
        paths = [str(module["path"]) for module in json.loads(listing.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(
            f'The encoder "{name}" has no usable list of its modules in {listing} ({error!r}): '
            "copy the model again."
        ) from error
    for path in paths:
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise ConfigurationError(
                f'The encoder "{name}" names "{path}" as one of its modules ({listing}), which is outside of '
                "its folder. It is not loaded."
            )
    return [folder / path for path in paths]


def _from_cache(repository: str, revision: str) -> Path | None:
    """The folder in the local cache of the hub, without any request; None when it is not complete."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(
            snapshot_download(
                repository, revision=revision or None, cache_dir=_cache_folder(), local_files_only=True
            )
        )
    except (OSError, ValueError):
        return None
    complete = (folder / "config.json").is_file() or (folder / "modules.json").is_file()
    return folder if complete and any(folder.rglob("*.safetensors")) else None


def _from_hub(repository: str, revision: str) -> Path:
    """Downloads the model into the local cache of the hub."""
    from huggingface_hub import constants, snapshot_download

    if constants.HF_HUB_OFFLINE:
        raise EncoderUnavailable(
            f"{_missing(repository)} HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set, "
            "so it is not downloaded."
        )
    logger.info("encoder download: model=%s", repository)
    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision or None,
                cache_dir=_cache_folder(),
                allow_patterns=_HUB_FILES,
                ignore_patterns=_OTHER_FORMATS,
            )
        )
    except Exception as error:  # the hub client's errors share no base class
        raise EncoderUnavailable(
            f"{_missing(repository)} Downloading it from the model hub failed: {error}"
        ) from error


def _missing(repository: str) -> str:
    advice = install_hint(repository)
    cure = f"{advice}, or " if advice else ""
    return (
        f'The model "{repository}" is not on this machine: {cure}put its folder in the name of the encoder '
        '(LLMREC["ENCODER"], or `encoder` of the SearchDocument).'
    )


def _cache_folder() -> str | None:
    """sentence-transformers' own variable for its cache; None: that of the hub client."""
    return os.environ.get("SENTENCE_TRANSFORMERS_HOME") or None
