"""What the package is made of: light where it must be, whole where it is installed."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
HEAVY = (
    "torch",
    "torchvision",
    "optuna",
    "sqlalchemy",
    "alembic",
    "fastapi",
    "scipy",
    "sklearn",
    "matplotlib",
    "pandas",
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def imported_by(code):
    """The names of the heavy packages that ``code`` imports in a fresh process."""
    script = f"import sys\n{code}\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


@pytest.mark.parametrize(
    "code",
    [
        "import lrsearch",
        "from lrsearch import Client, Schedule, StudySpec",
        "from lrsearch import Schedule\n"
        "Schedule.model_validate({'family': 'cosine', 'initial_lr': 0.1, 'epochs': 9}).lr_table(5)",
        "import lrsearch.exports, lrsearch.trajectory, lrsearch.study, lrsearch.space",
        "import lrsearch.cli",
    ],
)
def test_the_light_rooms_import_nothing_heavy(code):
    assert imported_by(code) == []


def test_the_service_imports_no_torch():
    assert not {"torch", "torchvision", "sklearn"} & set(imported_by("import lrsearch.service, lrsearch.api"))


def test_training_needs_no_service():
    found = set(imported_by("import lrsearch.worker, lrsearch.training"))
    assert not {"optuna", "sqlalchemy", "alembic", "fastapi"} & found


def packages():
    """Every package of the source tree, by the name it is installed under."""
    homes = {"lrsearch": "lrsearch", "lrsearch.api": "api", "lrsearch.studies": "studies"}
    return {
        ".".join([name, *init.parent.relative_to(ROOT / home).parts])
        for name, home in homes.items()
        for init in (ROOT / home).rglob("__init__.py")
    }


def test_every_package_is_listed():
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(packages())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the sources alone."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("lrsearch", "api", "studies", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).symlink_to(ROOT / name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", built, source]
    run = subprocess.run(build, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return next(built.glob("*.whl"))


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    wanted = {"lrsearch/py.typed", "lrsearch/store/migrations/script.py.mako"}
    for home, kinds in {"lrsearch": ["py"], "api": ["py"], "studies": ["py", "yaml"]}.items():
        inside = "" if home == "lrsearch" else "lrsearch/"
        wanted |= {f"{inside}{path.relative_to(ROOT)}" for kind in kinds for path in (ROOT / home).rglob(f"*.{kind}")}
    assert held == wanted


def test_the_wheel_works_without_any_extra(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    extras = [name for extra in ("service", "train", "vision", "cluster", "plot") for name in modules_of(extra)]
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        f"sys.modules.update(dict.fromkeys({extras!r}))\n"
        "import lrsearch, lrsearch.cli, lrsearch.exports\n"
        "schedule = lrsearch.Schedule.model_validate({'family': 'cosine', 'initial_lr': 0.1, 'epochs': 9})\n"
        "assert schedule.lr_table(5).shape == (45,)\n"
        "assert lrsearch.exports.export(schedule, 'torch', updates_per_epoch=5).text\n"
        "lrsearch.Client('http://127.0.0.1:9')\n"
        "from lrsearch.spec_file import read_study\n"
        "assert read_study('digits-step').task == 'digits-mlp'\n"
        "print(lrsearch.__file__)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(str(tmp_path))


def modules_of(extra):
    """The modules that an extra's requirements install, named as they are imported."""
    names = {"scikit-learn": "sklearn"}
    wanted = [Requirement(requirement).name for requirement in PROJECT["project"]["optional-dependencies"][extra]]
    return [names.get(name, name) for name in wanted if not name.startswith("lrsearch")]


def test_the_environment_is_pinned_without_addresses():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    assert all(name and version and "+" not in version for name, version in pins.items())
    assert not [name for name in pins if name.startswith(("nvidia", "lrsearch"))]
    pinned = {name.lower().replace("_", "-") for name in pins}
    for requirement in importlib.metadata.requires("lrsearch") or []:
        name = Requirement(requirement).name.lower().replace("_", "-")
        assert name in pinned | {"lrsearch"}, f"{name} is not pinned in constraints.txt"
    assert (pins["torch"], pins["torchvision"]) == ("2.13.0", "0.28.0")
