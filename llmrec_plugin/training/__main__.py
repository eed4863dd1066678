"""`python -m llmrec_plugin.training FOLDER`: runs one training (see job.py) in a process of its own.

What it takes of memory goes back to the system with it, and when it dies nothing else does.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.training import job

LOCK = "lock"
TOLD_EVERY = 1.0


def main(folder: Path) -> int:
    """0 when result.json is written, 1 when error.json says why not.

    One after the other: a process whose parent was killed may still be writing its last checkpoint.
    """
    with _alone(folder):
        return _train(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / LOCK).open("w") as lock:
        if os.name != "nt":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _train(folder: Path) -> int:
    for name in (job.ERROR, job.REPORT):
        (folder / name).unlink(missing_ok=True)
    told = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= TOLD_EVERY or done == total:
            told = time.monotonic()
            with suppress(OSError):  # how far it is matters less than going on
                job.write_json(folder / job.PROGRESS, {"done": done, "total": total})

    try:
        base, data, options, out = job.read_job(folder)
        from llmrec_plugin.training.sentence_transformer import SentenceTransformerTuner

        report = SentenceTransformerTuner().train(
            base, data, options, out, work=folder / job.WORK, progress=progress
        )
        job.write_json(folder / job.REPORT, asdict(report))
    except (LlmrecError, MemoryError, ImportError, RuntimeError, OSError) as error:
        code = error.code if isinstance(error, LlmrecError) else "training_failed"
        with suppress(OSError):
            job.write_json(folder / job.ERROR, {"code": code, "detail": str(error) or repr(error)})
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
