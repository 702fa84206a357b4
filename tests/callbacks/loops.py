"""What the tests of all callbacks share: the examples, run as they are, with fewer trials."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import sys
from pathlib import Path

import pytest

from lrsearch.launch import Listener

from ..torchrun import joined

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from tests.callbacks.loops import play
play(sys.argv[2], json.loads(sys.argv[3]))
"""


def play(name, cut):
    """Run an example here."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    example.STUDY |= cut
    example.main()


def run_example(name, service, folder, *, world=1, **changes):
    """Run an example here, or in ``world`` processes, against a service; the trials it trained."""
    cut = {"pruner": "none", **changes}
    with Listener(service, port=0) as listener:
        if world == 1:
            said = io.StringIO()
            with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
                patch.setenv("LRSEARCH_SERVER", listener.url)
                patch.chdir(folder)
                play(name, cut)
            told = said.getvalue()
        else:
            command = [sys.executable, "-c", SCRIPT, str(EXAMPLES.parent), name, json.dumps(cut)]
            runs = joined(command, world, folder=folder, LRSEARCH_SERVER=listener.url)
            assert [run.returncode for run in runs] == [0] * world, runs[0].stderr
            told = runs[0].stdout
    (study,) = service.studies().items
    rows = service.trials(study.name).items
    assert [row.state for row in rows] == ["completed"] * cut["budget"]["trials"]
    last = told.splitlines()[-1]
    best = min(row.value for row in rows)
    assert f"val_loss {best:.4f}; " in last
    assert float(last.rpartition(": ")[2]) == pytest.approx(best, rel=0.02)  # the same rates, but for the last bits
    return rows
