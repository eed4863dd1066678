"""`python -m llmrec_plugin.sandbox`: answers the request of the folder LLMREC_SANDBOX in its answer.json.

Says on standard output how far it is: one JSON list per line, [what, done, total].
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

SAYS_EVERY = 0.2
"""Seconds."""


class Speaker:
    """Tells the progress, at most every so often."""

    def __init__(self) -> None:
        self.said = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.said >= SAYS_EVERY or done == total:
            self.said = now
            sys.stdout.write(json.dumps([what, done, total]) + "\n")
            sys.stdout.flush()


def main() -> int:
    os.environ["DJANGO_SETTINGS_MODULE"] = "llmrec_plugin.sandbox.settings"
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from llmrec_plugin.exceptions import InvalidRequest, LlmrecError
    from llmrec_plugin.services.evaluation.sandbox_run import answer

    call_command("migrate", verbosity=0)
    found: dict[str, Any]
    try:
        found = answer(settings.REQUEST, Speaker())  # type: ignore[misc]
    except LlmrecError as error:
        parameter = error.parameter if isinstance(error, InvalidRequest) else ""
        found = {"error": {"code": error.code, "detail": str(error), "parameter": parameter}}
    folder = Path(settings.BASE_DIR)
    unfinished = folder / "answer.json.unfinished"
    unfinished.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
    unfinished.replace(folder / "answer.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
