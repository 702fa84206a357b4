"""``lrsearch demo``: the whole path on real data, on this machine, leaving nothing running."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Unavailable
from .answers import print_best
from .compare import print_comparison
from .curves import all_trials
from .exits import INTERRUPTED, complain
from .progress import follow_comparison, watch_study
from .studies import end
from .submit import asked

if TYPE_CHECKING:
    from ..client import Client
    from ..launch import Crew
    from ..study import Study

N_WORKERS = 2
STUDY = "digits-step"
COMPARISON = "compare-digits"


def demo(
    output: Annotated[Path, typer.Option("--output", help="The folder for the picture.")] = Path("demo"),
) -> None:
    """Search a schedule for real data, show it as code, and compare samplers: under 3 minutes on two processors."""
    from ..launch import interruptible

    logging.basicConfig(format="%(name)s: %(message)s", level=logging.WARNING)
    began = time.monotonic()
    try:
        with (
            interruptible(),
            tempfile.TemporaryDirectory(prefix="lrsearch-demo-") as folder,
            _service(Path(folder)) as (client, crew),
        ):
            _search(client, crew, output)
            _compare(client, crew)
    except KeyboardInterrupt:
        complain(["stopped; nothing is left running"])
        raise typer.Exit(INTERRUPTED) from None
    print(f"\nDone in {time.monotonic() - began:.0f} s; nothing is left running.")
    print("Next: `lrsearch serve` in one terminal, `lrsearch submit FILE --follow` in another; or `lrsearch run FILE`.")


@contextmanager
def _service(folder: Path) -> Iterator[tuple[Client, Crew]]:
    """A service on a free port with its workers, everything it stores in ``folder``."""
    from ..client import Client
    from ..launch import Crew, Listener, undisturbed
    from ..service import Service, Settings
    from ..store import Store

    os.environ["LRSEARCH_PREFIXES"] = str(folder / "prefixes")  # its workers train for themselves
    store = Store(f"sqlite:///{folder / 'demo.db'}")
    try:
        store.prepare()
        listener = Listener(Service(store, Settings(lease_seconds=15)), port=0)
        crew = Crew(listener.url, N_WORKERS)
        try:
            listener.start()
            crew.tend()
            print(f"The service listens on {listener.url}, with {N_WORKERS} workers.", flush=True)
            with Client(listener.url) as client:
                yield client, crew
        finally:
            with undisturbed():
                crew.stop()
                listener.stop()
    finally:
        store.close()


def _tend(crew: Crew) -> None:
    crew.tend()
    if crew.restarts > 3 * N_WORKERS:
        raise Unavailable("the workers end as soon as they start; their reason is in the lines above")


def _search(client: Client, crew: Crew, output: Path) -> None:
    from ..spec_file import read_study

    study, _ = client.create(read_study(STUDY))
    print(
        f"\nPOST /v1/studies: {study.name}, task {study.spec.task}, sampler {study.spec.sampler.name}: {asked(study)}."
    )
    study = watch_study(lambda: client.study(study.name), tend=lambda: _tend(crew))
    end(study)
    best = client.best(study.name)
    print()
    print_best(best, study)
    print("\nThe same as code for your own training (lrsearch best STUDY --as torch):\n")
    print(client.export(study.name, None, "torch").text.rstrip(), flush=True)
    print(f"\nA picture of every schedule tried: {_paint(client, study, output)}", flush=True)


def _paint(client: Client, study: Study, output: Path) -> Path:
    from ..pictures import Trained, paint_study

    output.mkdir(parents=True, exist_ok=True)
    path = (output / f"{study.name}.png").absolute()
    trials = all_trials(client, study.name)
    paint_study(path, study, [Trained(trial, client.curve(study.name, trial.number)) for trial in trials])
    return path


def _compare(client: Client, crew: Crew) -> None:
    from ..spec_file import read_comparison

    comparison, _ = client.compare(read_comparison(COMPARISON))
    arms = ", ".join(arm.name for arm in comparison.spec.arms)
    print(f"\nPOST /v1/comparisons: {arms}; {comparison.spec.repeats} repeats each.", flush=True)
    comparison = follow_comparison(lambda: client.comparison(comparison.name), tend=lambda: _tend(crew))
    print()
    print_comparison(comparison)
