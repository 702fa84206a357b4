"""Ending what is asked to end: when it suits, soon, and for good."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def patient(seconds: float) -> Iterator[Callable[[], bool]]:
    """Within the block, being told to end makes what is yielded true, and after ``seconds`` raises KeyboardInterrupt.

    Whoever has seen that it is true is not interrupted any more. Call both in the main thread.
    """
    told = threading.Event()

    def tell(number: int, frame: object) -> None:
        if not told.is_set():
            told.set()
            _alarm(seconds)

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    def is_told() -> bool:
        if told.is_set():
            _alarm(0)
        return told.is_set()

    before = {number: signal.signal(number, tell) for number in ENDS}
    if hasattr(signal, "SIGALRM"):
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, interrupt)
    try:
        yield is_told
    finally:
        _alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


@contextmanager
def killable(seconds: float) -> Iterator[None]:
    """Within the block this process, once told to end, is killed by being told again, or ``seconds`` later.

    It is killed with everything that it has started, if it leads a process group of its own. That holds even while its
    main thread is deep in some library, where Python hears of no signal. Call it in the main thread.
    """
    heard, told = socket.socketpair()
    told.setblocking(False)
    before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(heard, seconds), name="end", daemon=True)
    watch.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        told.close()
        watch.join()  # a second signal may have ended the block: then this kills, with what was started


def _watch(heard: socket.socket, seconds: float) -> None:
    """Wait for two signals that end, or one and ``seconds``; the number of every signal arrives as a byte."""
    with heard:
        told = 0
        while told < 2:
            try:
                number = heard.recv(1)
            except TimeoutError:
                break
            if not number:
                return  # the block is over
            if number[0] in ENDS:
                told += 1
                heard.settimeout(seconds)
    kill_all()


def kill_all() -> None:
    """Kill this process, with everything that it has started if it leads a process group of its own."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
