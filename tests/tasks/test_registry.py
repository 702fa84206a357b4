"""Tasks from files, packages and entry points."""

from __future__ import annotations

import random
import sys
import textwrap

import pytest

from lrsearch.errors import InvalidInput
from lrsearch.tasks.catalog import BUILT_IN
from lrsearch.tasks.registry import load_task, load_tasks, offers

SOURCE = """
    import numpy as np
    import lrsearch

    class Mine(lrsearch.Task):
        \"\"\"Mine.\"\"\"
        name = "mine"

        def model(self):
            import torch

            return torch.nn.Linear(2, 2)

        def data(self):
            x, y = np.zeros((4, 2)), np.zeros(4, dtype=int)
            return lrsearch.Data(train=(x, y), val=(x, y))
"""


@pytest.fixture
def written(tmp_path):
    def write(source, name="my.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(source))
        return path

    before = list(sys.path)
    yield write
    sys.path[:] = before


def test_the_built_in_tasks_are_always_there():
    assert dict(load_tasks()) == dict(BUILT_IN)


def test_a_file_adds_its_task(written):
    path = written(SOURCE)
    for reference in (f"{path}:Mine", str(path)):
        tasks = load_tasks([reference])
        assert list(tasks) == [*BUILT_IN, "mine"]
        assert tasks["mine"].offer().train_examples == 4


def test_a_module_adds_its_task(written, monkeypatch):
    monkeypatch.syspath_prepend(written(SOURCE, "my_tasks_package.py").parent)
    assert load_task("my_tasks_package:Mine").name == "mine"


def test_a_file_may_import_its_neighbours(written):
    written("ANSWER = 42\n", "neighbour_of_mine.py")
    path = written("import neighbour_of_mine\n" + textwrap.dedent(SOURCE))
    assert load_task(str(path)).name == "mine"


@pytest.mark.parametrize(
    ("source", "reference", "says"),
    [
        (SOURCE, "{path}:Other", "its tasks are: Mine"),
        (SOURCE, "{path}:np", "subclass of lrsearch.Task"),
        ("x = 1", "{path}", "its tasks are: none"),
        ("x = ", "{path}", "SyntaxError"),
        ("raise OSError('no such data')", "{path}", "no such data"),
        (SOURCE, "{path}.missing.py", "FileNotFoundError"),
        (SOURCE, "no_such_module_here:Mine", "ModuleNotFoundError"),
        (SOURCE, "Mine", "my.py:MyTask"),
        (SOURCE.replace('"mine"', '"digits-mlp"'), "{path}", "digits-mlp"),
        (SOURCE.replace('"mine"', '"not a name"'), "{path}", "pattern"),
    ],
)
def test_a_reference_that_cannot_be_loaded_says_why(written, source, reference, says):
    path = written(source)
    with pytest.raises(InvalidInput, match=says):
        load_tasks([reference.format(path=path)])


def test_entry_points_are_loaded_and_a_broken_one_keeps_nobody_from_work(written, monkeypatch):
    folder = written(SOURCE, "installed_task.py").parent
    written("raise RuntimeError('half installed')", "broken_task.py")
    info = folder / "some_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lrsearch.tasks]\na = broken_task:Mine\nb = installed_task:Mine\n")
    monkeypatch.syspath_prepend(folder)
    with pytest.warns(UserWarning, match=r"a = broken_task:Mine.*half installed"):
        tasks = load_tasks()
    assert list(tasks) == [*BUILT_IN, "mine"]


def test_a_task_without_its_data_is_not_offered(written):
    bad = load_task(str(written(SOURCE.replace("x, y =", "x, y = open('/no/such/file'),"))))
    with pytest.warns(UserWarning, match="FileNotFoundError"):
        announced = offers({"mine": bad, "least-squares": BUILT_IN["least-squares"]})
    assert [offer.name for offer in announced] == ["least-squares"]


def test_what_a_file_draws_as_it_is_loaded_is_the_same_in_every_process(tmp_path):
    file = tmp_path / "once.py"
    file.write_text(
        "import random, numpy, torch, lrsearch\n"
        "class Once(lrsearch.Task):\n"
        "    name = 'once'\n"
        "    drawn = random.random(), numpy.random.rand(), torch.rand(3).tolist()\n"
        "    def model(self): ...\n"
        "    def data(self): ...\n"
    )
    before = random.getstate()
    first = load_task(f"{file}:Once").drawn
    random.random()
    assert load_task(f"{file}:Once").drawn == first
    random.setstate(before)
