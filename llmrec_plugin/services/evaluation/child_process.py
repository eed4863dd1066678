"""Runs an evaluation in a process of its own, on a throwaway site: the one that asks is never touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings

from llmrec_plugin import exceptions
from llmrec_plugin.conf import get_settings
from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.exceptions import EvaluationFailed, InvalidRequest, LlmrecError
from llmrec_plugin.services.evaluation.progress import ReportProgress

TAIL = 2_000
"""Last characters that a child said before it broke off."""
SECRET = "LLMREC_SANDBOX_API_KEY"  # noqa: S105  (the name of a variable)
TAKEN_OVER = ("LANGUAGES", "DICTIONARY")
"""Settings of the site that decide how its texts are read."""


def run(
    request: Mapping[str, Any], spec: EncoderSpec, folder: Path, report_progress: ReportProgress
) -> dict[str, Any]:
    """Return the answer to `request` with this encoder, worked out in `folder`.

    Raises what the child raised, or EvaluationFailed where it broke off.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    _share_models(folder)
    asked = {**request, "llmrec": _settings(spec), "time_zone": django_settings.TIME_ZONE}
    (folder / "request.json").write_text(json.dumps(asked, default=str), encoding="utf-8")
    said = _wait(folder, spec.secret, report_progress)
    if not answer.exists():
        raise EvaluationFailed(f"The evaluation broke off. It last said: {said[-TAIL:].strip() or 'nothing'}")
    found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in found:
        raise _error(found["error"])
    return found


def _settings(spec: EncoderSpec) -> dict[str, Any]:
    """Return LLMREC of the throwaway site; a secret goes by the environment, since the request is a file."""
    settings = get_settings()
    options = {**spec.options, **({"api_key_env": SECRET} if spec.secret else {})}
    taken = {name: getattr(settings, name) for name in TAKEN_OVER}
    return {**taken, "ENCODER": spec.name, "ENCODER_OPTIONS": options}


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder only for the eyes of its user: it may hold what people did."""
    return tempfile.TemporaryDirectory(prefix="llmrec-evaluate-", ignore_cleanup_errors=True)


def _share_models(folder: Path) -> None:
    """A packaged model that the site has unpacked is not unpacked again."""
    try:
        models = get_settings().data_dir / "models"
        target = folder / "data" / "models"
        if models.is_dir() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(models, target_is_directory=True)
    except OSError:  # a system without links unpacks it once more
        return


def _wait(folder: Path, secret: str, report_progress: ReportProgress) -> str:
    """Return what the child said on its error output."""
    environment = {
        **os.environ,
        "LLMREC_SANDBOX": str(folder.resolve()),
        SECRET: secret,
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *filter(None, sys.path)]),
    }
    log = folder / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "llmrec_plugin.sandbox"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
        ) as child,
    ):
        try:
            for line in child.stdout or ():
                what, done, total = json.loads(line)
                report_progress(what, done, total)
            child.wait()
        finally:
            child.kill()  # does nothing to one that has ended
    return log.read_text(encoding="utf-8", errors="replace")


def _error(told: Mapping[str, str]) -> LlmrecError:
    """Return the exception that has this code."""
    kinds = [kind for kind in vars(exceptions).values() if isinstance(kind, type)]
    kind = next((k for k in kinds if issubclass(k, LlmrecError) and k.code == told["code"]), LlmrecError)
    if kind is InvalidRequest:
        return InvalidRequest(told["detail"], parameter=told["parameter"])
    return kind(told["detail"])
