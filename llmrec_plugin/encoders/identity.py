"""Names encoders by what decides their vectors: files by their content, settings by their values."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmrec_plugin.conf import get_settings

_TOKENIZER_FILES = (
    "tokenizer.json",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
    "vocab.txt",
)
"""The first that is there decides: the others of a folder are older forms of the same."""
_CONFIG_NOISE = {
    "architectures",
    "dtype",
    "gradient_checkpointing",
    "torch_dtype",
    "transformers_version",
    "use_cache",
}
"""Keys of config.json that change with the saving library or precision, not with the vectors."""
_TOKENIZER_SETTINGS = ("add_prefix_space", "do_lower_case", "strip_accents", "tokenize_chinese_chars")
"""Keys of the tokenizer's configuration that change its tokens."""


_HASH = re.compile(r"-[0-9a-f]{20}$")


def encoder_id(name: str, *parts: object) -> str:
    """At most 64 characters: a readable name, then a hash over all `parts`."""
    readable = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")[:43] or "encoder"
    canonical = json.dumps(parts, ensure_ascii=False, sort_keys=True, default=str)
    return f"{readable}-{hashlib.sha256(canonical.encode('utf-8', 'surrogatepass')).hexdigest()[:20]}"


def same_vectors(one: str, other: str) -> bool:
    """Whether two ids are of encoders that give the same vectors, whatever they are called where they lie.

    An id that `encoder_id` did not make, as of a site's own module, is only the same as itself.
    """
    known, asked = (_HASH.search(name) for name in (one, other))
    return one == other or (known is not None and asked is not None and known[0] == asked[0])


def model_digest(folder: Path) -> str:
    """Hash of the weights, the tokenizer and the architecture of a sentence-transformers folder."""
    digests = _FileDigests()
    content = [(path.relative_to(folder).as_posix(), digests[path]) for path in _content_files(folder)]
    digests.save()
    settings = [_settings(directory) for directory in _module_folders(folder)]
    return hashlib.sha256(json.dumps([content, settings], sort_keys=True).encode()).hexdigest()


def _content_files(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.rglob("*.safetensors"))
    for directory in _module_folders(folder):
        yield from [path for name in _TOKENIZER_FILES if (path := directory / name).is_file()][:1]


def _settings(directory: Path) -> dict[str, Any]:
    """What the configuration files of one module say about its vectors."""
    config = _json(directory / "config.json")
    tokenizer = _json(directory / "tokenizer_config.json") | _json(directory / "sentence_bert_config.json")
    return {key: value for key, value in config.items() if _decides(key)} | {
        f"tokenizer.{key}": tokenizer[key] for key in _TOKENIZER_SETTINGS if key in tokenizer
    }


def _decides(key: str) -> bool:
    return not key.startswith("_") and key not in _CONFIG_NOISE


def _module_folders(folder: Path) -> list[Path]:
    """The folder itself and those of its modules, in the order in which the modules run."""
    listing = folder / "modules.json"
    modules = json.loads(listing.read_text(encoding="utf-8")) if listing.is_file() else []
    folders = [folder]
    for directory in (folder / module["path"] for module in modules):
        routes = _json(directory / "router_config.json").get("types", {})
        folders += [directory, *(directory / route for route in routes)]
    return list(dict.fromkeys(folders))


def _json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is no such file."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


class _FileDigests:
    """SHA-256 of files, remembered in DATA_DIR by path, size and time: half a gigabyte takes a second."""

    def __init__(self) -> None:
        self._file = get_settings().data_dir / "models" / "digests.json"
        self._known: dict[str, str] = self._read()
        self._changed = False

    def __getitem__(self, path: Path) -> str:
        status = path.stat()
        key = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"
        if key not in self._known:
            with path.open("rb") as file:
                self._known[key] = hashlib.file_digest(file, "sha256").hexdigest()
            self._changed = True
        return self._known[key]

    def save(self) -> None:
        """Best effort: another process may write too, and a read-only DATA_DIR only costs the time again."""
        if not self._changed:
            return
        try:
            get_settings().make_folder(self._file.parent)
            handle, name = tempfile.mkstemp(dir=self._file.parent, prefix="digests-")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({**self._read(), **self._known}, file)
            Path(name).chmod(0o644)
            Path(name).replace(self._file)
        except OSError:
            return

    def _read(self) -> dict[str, str]:
        try:
            return _json(self._file)
        except (OSError, TypeError, ValueError):
            return {}
