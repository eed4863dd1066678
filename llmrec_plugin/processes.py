"""Asks the operating system about processes: what memory they hold, whether they live, who shares their ids.

What a system does not tell is answered in the way that does no harm.
"""

from __future__ import annotations

import os
import socket
import sys
from functools import lru_cache
from pathlib import Path


def resident_mb() -> float:
    """Return the memory that this process holds now, in MiB; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


def peak_mb() -> float:
    """Return the most memory that this process has held, in MiB; NaN where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def has_ended(pid: int) -> bool:
    """Return whether a process of this machine is no more; False where the system does not tell."""
    if os.name == "nt":  # there a signal 0 would kill
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Ended, but its parent takes no notice, as the first process of many a container."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False


@lru_cache(maxsize=1)
def machine() -> str:
    """Return the name of those who share process ids: host and process namespace, at most 40 characters.

    Containers may share a host name, but then not their process ids.
    """
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return f"{socket.gethostname()[:24]}:{''.join(filter(str.isdigit, namespace))}"
