"""Processes joined as ``torchrun`` joins them, on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path


def joined(
    command: Sequence[str], world: int, *, folder: Path | None = None, seconds: float = 120, **environment: str
) -> list[subprocess.CompletedProcess[str]]:
    """What ``world`` processes of one command came to, by rank; one alone is told nothing of ranks."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "none", "GROUP_RANK": "0"}
    shared |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(world))
    started = []
    try:
        for rank in range(world):
            ranks = shared | dict.fromkeys(("RANK", "LOCAL_RANK"), str(rank)) if world > 1 else {}
            started.append(
                subprocess.Popen(
                    command,
                    env=os.environ | environment | ranks,
                    cwd=folder,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        told = [process.communicate(timeout=seconds) for process in started]
    finally:
        for process in started:
            process.kill()
    return [
        subprocess.CompletedProcess(command, process.returncode, out, err)
        for process, (out, err) in zip(started, told, strict=True)
    ]
