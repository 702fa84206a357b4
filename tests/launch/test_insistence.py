"""A process that is told to end and does not is killed, with what it has started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lrsearch.launch import Crew

STUBBORN = """
import subprocess, sys, time
from lrsearch.launch import interruptible, killable
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
with killable({seconds}), interruptible():
    try:
        print(child.pid, flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("told", flush=True)
        sum(iter(lambda: 0, 1)) if {deep} else time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def gone(*pids: int) -> bool:
    end = time.monotonic() + 20
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(map(alive, pids))


@contextmanager
def stubborn(seconds: float, *, deep: bool = False) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that does not end when it is told to, and its child's id."""
    program = STUBBORN.format(seconds=seconds, deep=deep)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, process_group=0) as it:
        assert it.stdout is not None
        child = int(it.stdout.readline())
        try:
            yield it, child
        finally:
            for pid in (it.pid, child):
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)


def test_a_second_signal_kills(tmp_path: Path) -> None:
    with stubborn(60) as (process, child):
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert process.stdout.readline() == "told\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGKILL
        assert gone(child)


@pytest.mark.parametrize("deep", [False, True])
def test_time_kills(deep: bool) -> None:
    with stubborn(0.3, deep=deep) as (process, child):
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGKILL
        assert gone(child)


def test_who_ends_in_time_is_left_alone() -> None:
    program = (
        "import os, signal, time\n"
        "from lrsearch.launch import interruptible, killable\n"
        "with killable(0.2):\n"
        "    try:\n"
        "        with interruptible():\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
        "            time.sleep(60)\n"
        "    except KeyboardInterrupt:\n"
        "        pass\n"
        "time.sleep(0.5)\n"
        "print('whole')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "whole\n"


def test_what_a_dead_worker_has_started_dies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also if the worker was killed, and whether the crew goes on or stops."""
    program = (
        "import subprocess, sys, time; "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        "open(sys.argv[1] + '/' + str(child.pid), 'w').close(); time.sleep(60)"
    )
    crew = Crew("http://127.0.0.1:9", 1)
    monkeypatch.setattr(crew, "_command", [sys.executable, "-c", program, str(tmp_path)])

    def children(n: int) -> list[int]:
        end = time.monotonic() + 20
        while len(found := sorted(int(path.name) for path in tmp_path.iterdir())) < n and time.monotonic() < end:
            crew.tend()
            time.sleep(0.02)
        return found

    with crew:
        (first,) = children(1)
        os.kill(crew.pids[0], signal.SIGKILL)
        both = children(2)
        assert gone(first)
        os.kill(crew.pids[0], signal.SIGKILL)
    assert gone(*both)


@pytest.mark.parametrize(("looks", "said"), [(True, "at its end\n"), (False, "in the middle\n")])
def test_who_is_told_to_end_may_come_to_a_good_place_first(looks: bool, said: str) -> None:
    program = (
        "import os, signal, time\n"
        "from lrsearch.launch import patient\n"
        "with patient(0.3) as told:\n"
        "    try:\n"
        "        assert not told()\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        f"        assert told() if {looks} else True\n"
        "        time.sleep(1)\n"
        "        print('at its end')\n"
        "    except KeyboardInterrupt:\n"
        "        print('in the middle')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == said
