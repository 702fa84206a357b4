"""What the tests of all callbacks share: the examples, run as they are, with fewer trials."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lrsearch.launch import Listener

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SCRIPT = """
import importlib.util, json, sys
if importlib.util.find_spec("torchvision"):  # which may have been built for another torch
    from lrsearch.tasks.vision import torchvision_module
    torchvision_module("datasets")
spec = importlib.util.spec_from_file_location("example", sys.argv[1])
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)
example.STUDY |= json.loads(sys.argv[2])
example.main()
"""


def run_example(name, service, folder, *, world=1, **changes):
    """Run an example in a process of its own, or ``world`` of them, against a service; the trials it trained."""
    cut = {"pruner": "none", **changes}
    with socket.create_server(("127.0.0.1", 0)) as free:
        meet = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    with Listener(service, port=0) as listener, ThreadPoolExecutor(world) as pool:

        def run(rank):
            ranks = meet | {"RANK": str(rank)} if world > 1 else {}
            return subprocess.run(
                [sys.executable, "-c", SCRIPT, str(EXAMPLES / f"{name}.py"), json.dumps(cut)],
                env=os.environ | {"LRSEARCH_SERVER": listener.url} | ranks,
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )

        runs = list(pool.map(run, range(world)))
    assert [run.returncode for run in runs] == [0] * world, runs[0].stderr
    (study,) = service.studies().items
    rows = service.trials(study.name).items
    assert [row.state for row in rows] == ["completed"] * cut["budget"]["trials"]
    last = runs[0].stdout.splitlines()[-1]
    best = min(row.value for row in rows)
    assert f"val_loss {best:.4f}; " in last
    assert float(last.rpartition(": ")[2]) == pytest.approx(best, rel=0.02)  # the same rates, but for the last bits
    return rows
