"""docs/http.md, run as it stands: every command, and every answer that it shows."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from lrsearch.launch import Listener
from lrsearch.service import Service, Settings

PAGE = Path(__file__).parents[2] / "docs" / "http.md"
STEP = re.compile(r"```bash\n(?P<command>.*?)```\n(?:\n```text\n(?P<shown>.*?)```\n)?", re.DOTALL)
MARK = "--- step"


def pattern(shown: str) -> str:
    """What is shown, without regard to white space; `...` is anything."""
    return ".*".join(re.escape("".join(part.split())) for part in shown.split("..."))


def test_every_command_answers_what_the_page_shows(service: Service, tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash, "bash is needed"
    assert shutil.which("curl"), "curl is needed"
    steps = list(STEP.finditer(PAGE.read_text(encoding="utf-8")))
    assert len(steps) > 12
    with Listener(Service(service.store, Settings()), port=0) as listener:
        script = "".join(f"{step['command']}\necho '\n{MARK}'\n" for step in steps)
        script = script.replace("localhost:8000", listener.url.removeprefix("http://"))
        ran = subprocess.run([bash, "-eu"], input=script, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    answers = ran.stdout.split(MARK)[:-1]
    for step, answer in zip(steps, answers, strict=True):
        if step["shown"] is not None:
            assert re.fullmatch(pattern(step["shown"]), "".join(answer.split()), re.DOTALL), (step["command"], answer)
    assert service.study("by-hand").state == "completed"
