"""The examples without a framework's callback tune a real model through a running service."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrsearch.service import Service

from ..callbacks.loops import run_example


def test_a_plain_loop_of_torch(service: Service, tmp_path: Path) -> None:
    run_example("torch_digits", service, tmp_path, epochs=2, budget={"trials": 3})


@pytest.mark.slow
def test_two_processes_of_torch(service: Service, tmp_path: Path) -> None:
    rows = run_example("torch_ddp", service, tmp_path, world=2, epochs=2, budget={"trials": 3})
    assert len({row.worker for row in rows}) == 1
