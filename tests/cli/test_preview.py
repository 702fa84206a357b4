"""``lrsearch preview``: a study before it is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


def test_a_preview_says_what_run_says_and_stores_nothing(cli: Cli, small: Path) -> None:
    answer = cli("preview", str(small), "--set", "space.step_size=[1, 5]")
    assert answer.code == 0
    assert answer.out.startswith("small: 3 trials, 12 epochs asked, ")
    assert "never fires" in answer.err
    found = json.loads(cli("preview", str(small), "--json").out)
    assert (found["trials"], found["warnings"], len(found["curves"])) == (3, [], 3)
    assert json.loads(cli("list", "--json").out)["items"] == []
    assert cli("preview", str(small), "--set", "space.warmup=4").code == 2


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_preview_is_drawn(cli: Cli, small: Path, tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / f"a{suffix}"
    settings = ("--set", "space.family=[step, cosine, plateau]", "--set", "budget.trials=40")
    assert cli("preview", str(small), *settings, "--plot", str(file)).code == 0
    assert file.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml")
    assert cli("preview", str(small), "--plot", str(tmp_path / "a.txt")).code == 2
    assert cli("preview", str(small), "--plot", str(tmp_path / "nowhere" / f"a{suffix}")).code == 2
