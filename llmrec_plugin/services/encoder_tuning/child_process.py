"""Runs a training in a process of its own and waits for it: what it takes of memory is given back at its end,
and when it is killed nothing else dies."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import llmrec_plugin
from llmrec_plugin.exceptions import ConfigurationError, TrainingFailed
from llmrec_plugin.training import job
from llmrec_plugin.training.base import EncoderTrainingReport
from llmrec_plugin.types import Progress

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
ENDING_SECONDS = 30
LOG = "log.txt"
ROOT = Path(llmrec_plugin.__file__).resolve().parents[1]


def run(folder: Path, *, beat: Callable[[], None], progress: Progress | None) -> EncoderTrainingReport:
    """Return the report of the training that `folder` holds; one that is done already is not run again.

    Raises TrainingFailed, or ConfigurationError for options that do not fit. An exception of `beat` ends
    the training.
    """
    done = job.read_report(folder)
    if done is not None:
        return done
    (folder / job.ERROR).unlink(missing_ok=True)
    with (folder / LOG).open("ab") as log:
        child = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            [sys.executable, "-m", "llmrec_plugin.training", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": _import_path(), "TOKENIZERS_PARALLELISM": "false"},
        )
        logger.info("training process started pid=%d", child.pid)
        try:
            while child.poll() is None:
                beat()
                _report_progress(folder, progress)
                time.sleep(POLL_SECONDS)
        finally:
            _end(child)
    report = job.read_report(folder)
    if report is None:
        raise _failure(folder, child.returncode)
    return report


def _import_path() -> str:
    """Return PYTHONPATH, by which the child finds the package where this process did."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))


def _report_progress(folder: Path, progress: Progress | None) -> None:
    if progress is not None and (state := job.read_json(folder / job.PROGRESS)):
        progress(state["done"], state["total"])


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _failure(folder: Path, code: int) -> TrainingFailed | ConfigurationError:
    error = job.read_json(folder / job.ERROR)
    if error.get("code") == ConfigurationError.code:
        return ConfigurationError(error["detail"])
    if error:
        return TrainingFailed(error["detail"])
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    return TrainingFailed(
        f"The training process {how}. Run the same command again: it goes on from the last checkpoint. What "
        f"it wrote last is in {folder / LOG}."
    )
