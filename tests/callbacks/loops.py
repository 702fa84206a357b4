"""What the tests of all callbacks share: the examples, run as they are, with fewer trials."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


def run_example(name, service, folder, **changes):
    """Run an example in a process of its own against a service that listens; the trials it trained."""
    cut = {"pruner": "none", **changes}
    with Listener(service, port=0) as listener:
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(EXAMPLES / f"{name}.py"), json.dumps(cut)],
            env=os.environ | {"LRSEARCH_SERVER": listener.url},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 0, run.stderr
    (study,) = service.studies().items
    rows = service.trials(study.name).items
    assert [row.state for row in rows] == ["completed"] * cut["budget"]["trials"]
    last = run.stdout.splitlines()[-1]
    best = min(row.value for row in rows)
    assert f"val_loss {best:.4f}; " in last
    assert float(last.rpartition(": ")[2]) == pytest.approx(best, rel=0.02)  # the same rates, but for the last bits
    return rows
