"""What commands answer, and how they end."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from lrsearch.cli import app
from lrsearch.in_process import finish
from lrsearch.schedules import Schedule
from lrsearch.service import Service
from lrsearch.spec_file import read_study

Cli = Callable[..., Any]


def test_run_trains_and_says_what_it_costs_first(cli: Cli, small: Path) -> None:
    answer = cli("run", str(small))
    assert answer.code == 0
    assert answer.err.startswith("lrsearch: small: 3 trials, 12 epochs asked, ")
    assert re.search(r"small: 3 of 3 trials \(completed\)", answer.err)
    assert re.match(r"small: trial \d, val_loss 0\.\d+", answer.out)
    again = cli("run", str(small), "--json")
    assert again.code == 0
    assert json.loads(again.out)["progress"]["trials"] == {"completed": 3}


def test_settings_names_standard_input_and_shipped_studies(cli: Cli, small: Path) -> None:
    assert cli("run", str(small), "--set", "budget.trials=2", "--name", "two").code == 0
    assert cli("run", "-", "--name", "piped", stdin=small.read_text()).code == 0
    assert cli("run", "least-squares-tpe", "--set", "budget.trials=2", "--set", "name=shipped").code == 0
    page = json.loads(cli("list", "--json").out)
    assert {item["name"]: item["progress"]["trials"]["completed"] for item in page["items"]} == {
        "two": 2,
        "piped": 3,
        "shipped": 2,
    }


def test_looking_at_what_was_run(cli: Cli, small: Path) -> None:
    cli("run", str(small))
    assert "small" in cli("list").out
    assert "3 completed" in cli("status", "small").out
    assert len(json.loads(cli("trials", "small", "--json").out)["items"]) == 3
    assert len(cli("trials", "small", "--order", "value").out.splitlines()) == 4
    items = json.loads(cli("best", "small", "--top", "2", "--json").out)["items"]
    assert items[0]["value"] <= items[1]["value"]
    assert (
        cli("best", "small").out.splitlines()[0]
        == f"small: trial {items[0]['trial']}, val_loss {items[0]['value']:.5g}"
    )


def test_the_best_as_code_runs_and_gives_the_rates_of_its_schedule(cli: Cli, small: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    cli("run", str(small))
    best = json.loads(cli("best", "small", "--json").out)["items"][0]
    code = cli("best", "small", "--as", "torch").out
    space: dict[str, Any] = {}
    exec(compile(code, "snippet", "exec"), space)
    updates = best["updates_per_epoch"]
    table = Schedule.model_validate(best["schedule"]).lr_table(updates)
    rates = []
    for _ in table:
        rates.append(space["optimizer"].param_groups[0]["lr"])
        space["update"](space["model"](torch.ones(2)).sum())
    np.testing.assert_allclose(rates, table, rtol=0, atol=1e-12 * table.max())
    assert cli("export", "small", "--as", "torch", "-o", str(tmp_path / "code.py")).out == ""
    assert (tmp_path / "code.py").read_text() == code
    assert json.loads(cli("export", "small", "--as", "json", "--trial", "0").out)
    assert cli("best", "small", "--as", "table", "--updates-per-epoch", "7").code == 0
    longer = cli("export", "small", "--as", "json", "--epochs", "50", "--batch-size", "999", "--rule", "sqrt").out
    wanted = Schedule.model_validate(best["schedule"]).rescale(
        epochs=50, batch_size=999, from_batch_size=best["recipe"]["batch_size"], rule="sqrt"
    )
    assert Schedule.model_validate(json.loads(longer)["schedule"]) == wanted
    assert "the sqrt rule" in json.loads(longer)["rescaled"][0]
    assert cli("export", "small", "--batch-size", "9", "--rule", "cubic").code == 2
    assert cli("export", "small", "--as", "npy", "-o", str(tmp_path / "rates.npy")).out == ""
    assert np.load(tmp_path / "rates.npy").tolist() == table.tolist()


def test_the_same_over_http(cli: Cli, server: str, service: Service, small: Path) -> None:
    answer = cli("submit", str(small))
    assert answer.code == 0
    assert f"small: 3 trials, 12 epochs asked; created at {server}" in answer.err
    again = cli("submit", str(small)).err
    assert "there already, `local`'s" in again
    assert "budget" not in again
    assert "its budget stays as it was" in cli("submit", str(small), "--set", "budget.trials=4").err
    assert cli("best", "small").code == 3
    assert "paused" in cli("pause", "small").out
    assert json.loads(cli("resume", "small", "--json").out)["state"] == "queued"
    finish(service, "small")
    assert cli("submit", str(small), "--follow").code == 0
    assert cli("best", "small").code == 0
    assert len(json.loads(cli("trials", "small", "--json", "--server", server).out)["items"]) == 3
    assert "least-squares" in cli("catalog").out


def test_a_paused_or_cancelled_study(cli: Cli, service: Service, small: Path) -> None:
    service.create(read_study(small))
    assert cli("cancel", "small").out == "small: cancelled\n"
    answer = cli("status", "small")
    assert (answer.code, answer.err) == (1, "lrsearch: study `small` was cancelled\n")
    assert cli("run", str(small)).code == 1
    assert cli("delete", "small").out == "small: deleted\n"
    assert cli("status", "small").code == 3


BROKEN = """
from lrsearch.tasks.least_squares import LeastSquares

class Broken(LeastSquares):
    name = "broken"

    def model(self):
        raise ValueError("no model today")
"""


def test_a_failed_study_says_why(cli: Cli, small: Path, tmp_path: Path) -> None:
    task = tmp_path / "broken.py"
    task.write_text(BROKEN)
    arguments = ("--task", f"{task}:Broken", "--set", "task=broken", "--set", "limits.failures_in_a_row=2")
    answer = cli("run", str(small), *arguments)
    assert answer.code == 1
    assert "no model today" in answer.err.splitlines()[-2]
    assert "another name" in answer.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (2, ("run", "small.yaml", "--set", "budget.trails=3", "--set", "epochs=0"), "did you mean `trials`"),
        (2, ("run", "small.yaml", "--set", "epochs"), "path=value"),
        (2, ("run", "small.yaml", "--set", "task=external", "--set", "objective={metric: a, direction: minimize}"),
         "loop"),
        (2, ("run", "small.yaml", "--task", "small.yaml"), "my.py:MyTask"),
        (2, ("run", "small.yaml", "--no-such-option"), "No such option"),
        (2, ("best", "there", "--as", "table", "--top", "0"), "top"),
        (2, ("worker", "--server", "ftp://x"), "http"),
        (2, ("worker", "--server", "http://127.0.0.1:9", "--name", "two words"), "worker"),
        (3, ("run", "nowhere"), "digits-step"),
        (3, ("status", "nowhere"), "nowhere"),
        (3, ("trials", "nowhere"), "nowhere"),
        (3, ("best", "nowhere"), "nowhere"),
        (3, ("best", "there"), "no trial of `there`"),
        (3, ("export", "nowhere"), "nowhere"),
        (3, ("delete", "nowhere"), "nowhere"),
        (4, ("run", "small.yaml", "--name", "there", "--set", "epochs=9"), "another spec"),
        (4, ("resume", "over"), "cancelled"),
        (5, ("submit", "small.yaml", "--server", "http://127.0.0.1:9"), "lrsearch serve"),
        (5, ("list", "--database", "sqlite:////proc/nowhere/x.db"), ""),
        (5, ("serve", "--host", "no.such.host.invalid", "--port", "0"), ""),
        (6, ("serve", "--host", "0.0.0.0"), "LRSEARCH_TOKEN"),
    ],
)  # fmt: skip
def test_exit_codes(
    cli: Cli,
    service: Service,
    small: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    if "no.such.host.invalid" in arguments:
        monkeypatch.setenv("LRSEARCH_TOKEN", "t")
    service.create(read_study(small, name="there"))
    service.create(read_study(small, name="over"))
    service.cancel("over")
    answer = cli(*arguments)
    assert answer.code == code, answer.err
    assert said in answer.err
    assert answer.out == ""


def test_every_fault_has_its_line(cli: Cli, small: Path) -> None:
    answer = cli("run", str(small), "--set", "epochs=0", "--set", "budget.trials=0")
    assert answer.code == 2
    fields = [line.split(": ")[:2] for line in answer.err.splitlines()]
    assert fields == [["lrsearch", "epochs"], ["lrsearch", "budget.trials"]]


def test_a_wrong_token_is_not_allowed(cli: Cli, service: Service) -> None:
    from lrsearch.launch import Listener
    from lrsearch.service import Access

    with Listener(service, port=0, access=Access(token="right")) as listener:
        assert cli("list", "--server", listener.url).code == 6
        assert cli("list", "--server", listener.url, "--token", "wrong").code == 6
        assert cli("worker", "--server", listener.url, "--token", "wrong").code == 6
        assert cli("list", "--server", listener.url, "--token", "right").code == 0


COMPARISON = """
name: duel
spec:
  task: least-squares
  epochs: 3
  space: {family: step, initial_lr: {low: 1e-3, high: 0.3, log: true, num: 4}, step_size: [1, 2]}
  budget: {trials: 4}
arms:
  - {name: grid, sampler: grid}
  - {name: random, sampler: random}
repeats: 2
"""


def test_compare_in_this_process(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "duel.yaml"
    file.write_text(COMPARISON)
    answer = cli("compare", str(file))
    assert answer.code == 0
    assert answer.err.startswith("lrsearch: 2 samplers, 2 repeats each: 4 studies")
    assert "grid against random" in answer.out
    again = cli("compare", str(file), "--json")
    assert json.loads(again.out)["result"]["finished_repeats"] == 2


def test_catalog_and_migrate(cli: Cli, tmp_path: Path) -> None:
    assert cli("db", "migrate", "--database", f"sqlite:///{tmp_path / 'new.db'}").code == 0
    assert (tmp_path / "new.db").exists()
    listed = cli("catalog").out
    assert "digits-mlp" in listed
    families = listed[listed.index("\nfamilies\n") : listed.index("\nwarmups\n")]
    assert families.count("initial_lr") == 1
    assert families.count("decay_rate") > 1
    assert {"tasks", "families", "exports"} <= json.loads(cli("catalog", "--json").out).keys()


def test_help_is_light() -> None:
    program = (
        "import sys; from lrsearch.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'optuna', 'fastapi', 'sqlalchemy', 'numpy', 'pydantic', 'httpx'} & sys.modules.keys()\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for name in [command.name for command in app.registered_commands]:
        assert f"  {name} " in done.stdout


def test_ctrl_c_and_the_same_command_continues(small: Path, cli: Cli) -> None:
    arguments = ["run", str(small), "--set", "updates=160000", "--set", "eval_every=1600", "--set", "epochs=null"]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "lrsearch.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            status = cli("status", "small", "--json")
            if status.code == 0 and json.loads(status.out)["progress"]["epochs"]["trained"] > 5:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130, err
    assert "the same command continues" in err
    assert "Traceback" not in err
    assert json.loads(cli("status", "small", "--json").out)["progress"]["trials"].get("running", 0) == 0
    assert cli(*arguments).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("interrupt", [False, True])
def test_the_demo_leaves_nothing_running(tmp_path: Path, interrupt: bool) -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "lrsearch.cli", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    family = psutil.Process(process.pid)
    try:
        if interrupt:
            while not (children := family.children()):
                time.sleep(0.05)
            time.sleep(5)
            process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=280)
    finally:
        process.kill()
        process.communicate()
    if interrupt:
        assert process.returncode == 130
        assert not any(child.is_running() for child in children)
        return
    assert process.returncode == 0, out
    assert "make_scheduler" in out
    assert "grid against random" in out
    assert (tmp_path / "demo" / "digits-step.png").read_bytes().startswith(b"\x89PNG")
