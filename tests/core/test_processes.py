"""What the operating system tells of processes, asked of real ones."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from llmrec_plugin import processes


def test_memory_grows_with_what_is_held_and_the_most_of_it_stays() -> None:
    before = processes.resident_mb()
    block = bytearray(os.urandom(1)) * 200_000_000
    held = processes.resident_mb()
    assert held - before > 0.9 * len(block) / 1024**2
    del block
    assert processes.resident_mb() < held - 100
    assert processes.peak_mb() > 0.99 * held


@pytest.mark.skipif(os.name == "nt", reason="the system does not tell")
def test_a_process_lives_until_it_has_ended_also_where_nobody_takes_notice() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert not processes.has_ended(os.getpid())
    assert not processes.has_ended(child.pid)
    child.kill()
    until = time.monotonic() + 20
    while not processes.has_ended(child.pid) and time.monotonic() < until:
        time.sleep(0.01)
    assert processes.has_ended(child.pid)  # not waited for yet
    child.communicate()
    assert processes.has_ended(child.pid)


def test_the_processes_of_one_machine_have_one_name_for_it() -> None:
    command = "from llmrec_plugin import processes; print(processes.machine())"
    told = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == processes.machine()
    assert len(processes.machine()) <= 40
