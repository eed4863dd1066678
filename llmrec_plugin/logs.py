"""Lines of the log as JSON objects, with the `key=value` parts of messages as fields of their own."""

from __future__ import annotations

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from pathlib import Path


def origin(error: BaseException) -> str:
    """The innermost line of this package that it came through, as "outbox.py:188".

    For messages of errors that anybody may raise: the text of a traceback can quote a row of the database.
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _PACKAGE in Path(frame.filename).parents] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "unknown"


_PACKAGE = Path(__file__).parent
_FIELD = re.compile(r"(?<!\S)([a-z_]\w*)=(\S+)")


class JsonFormatter(logging.Formatter):
    """For LOGGING["formatters"]: {"json": {"()": "llmrec_plugin.logs.JsonFormatter"}}."""

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
