"""What the log is told, as JSON objects where a site wants them, and what of an error visitors may read."""

from __future__ import annotations

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from pathlib import Path

from llmrec_plugin.exceptions import (
    BackendUnavailable,
    EncoderMismatch,
    EncoderUnavailable,
    InvalidRequest,
    LlmrecError,
    NotFound,
)

__all__ = ["JsonFormatter"]

logger = logging.getLogger(__name__)


def origin(error: BaseException) -> str:
    """The innermost line of this package that it came through, as "outbox.py:188".

    For messages of errors that anybody may raise: the text of a traceback can quote a row of the database.
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _PACKAGE in Path(frame.filename).parents] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "unknown"


def public_message(error: LlmrecError) -> str:
    """Return what a visitor is told of the error. Hosts, paths and settings are for the log, where they go
    here."""
    if isinstance(error, InvalidRequest | NotFound):
        return str(error)
    logger.error("%s: %s", error.code, error)
    if isinstance(error, BackendUnavailable):
        return "The search engine does not answer."
    if isinstance(error, EncoderUnavailable | EncoderMismatch):
        return "The text encoder of the live index is not at hand."
    return "The search does not answer at present."


_PACKAGE = Path(__file__).parent
_FIELD = re.compile(r"(?<!\S)([a-z_]\w*)=(\S+)")


class JsonFormatter(logging.Formatter):
    """Lines as JSON objects, with the `key=value` parts of messages as fields of their own.

    For LOGGING["formatters"]: {"json": {"()": "llmrec_plugin.logs.JsonFormatter"}}.
    """

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
            "process": record.process,
        }
        fields = dict(_FIELD.findall(message))
        if fields:
            entry["fields"] = fields
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)
