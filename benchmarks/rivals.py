"""The rivals: the plain loop by itself, under Optuna, and under Ray Tune."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from queue import Empty
from typing import Any

import optuna
import torch
from plain_loop import PlainLoop, faster_threads, training_seconds
from reference import Reference, cell_name

from lrsearch.space import Space

START_SECONDS = 120.0
"""How long a process may take to import everything and load its data."""
SURE_CELLS, CLEARLY = 4, 1.25
"""A layout is ended after so many cells, where it will take so many times as long as the other one."""


@dataclass
class Outcome:
    """What an engine made of a study.

    Attributes:
        seconds: wall time, process start and imports left out.
        values: val_loss by cell; infinite = diverged.
        epochs: trained and repeated; None = each cell from its start.
        also: the seconds of the engine's other layouts.
    """

    seconds: float
    values: Mapping[str, float]
    epochs: tuple[int, int] | None = None
    also: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Machine:
    """What every engine is given.

    Attributes:
        cores: how many.
        threads: of the plain loop by itself, whichever of 1 and ``cores`` is faster.
        training_seconds: one plain training.
    """

    cores: int
    threads: int
    training_seconds: float

    @classmethod
    def measured(cls, study: Reference) -> Machine:
        """Measure one training, with the faster number of threads."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        loop = loop_of(study, 1)
        schedule = next(iter(study.cells.values()))
        loop.threads = faster_threads(loop, schedule, cores)
        return cls(cores, loop.threads, training_seconds(loop, schedule))


def loop_of(study: Reference, threads: int) -> PlainLoop:
    """The plain loop of a study's recipe."""
    return PlainLoop(study.task(study.spec.options), study.train, study.updates_per_epoch, threads)


def plain(study: Reference, machine: Machine) -> Outcome:
    """One training after the other."""
    loop = loop_of(study, machine.threads)
    begun = time.perf_counter()
    values = {cell: loop.val_loss(schedule) for cell, schedule in study.cells.items()}
    return Outcome(time.perf_counter() - begun, values)


def with_optuna(study: Reference, machine: Machine) -> Outcome:
    """Optuna's GridSampler over the plain loop: in one process a core with a part of the grid, and in one process.

    The second layout is ended early where it cannot become the faster one; its seconds are then those of its first
    cells, scaled up.
    """
    if machine.cores == 1:
        return one_process(study, machine)[1]
    first = many_processes(study, machine.cores)
    name, second = one_process(study, machine, beat=first.seconds)
    if len(second.values) == len(study.cells) and second.seconds < first.seconds:
        second.also = {f"{machine.cores} processes": first.seconds}
        return second
    first.also = {name: second.seconds}
    return first


def one_process(study: Reference, machine: Machine, beat: float = math.inf) -> tuple[str, Outcome]:
    """One Optuna study in this process, ended where it will clearly take longer than ``beat``; its name comes first."""
    loop = loop_of(study, machine.threads)
    n_cells, begun = len(study.cells), time.perf_counter()

    def expected(n_done: int) -> float:
        return (time.perf_counter() - begun) / n_done * n_cells

    values = grid_search(study, loop, grid_of(study), lambda n: n >= SURE_CELLS and expected(n) > CLEARLY * beat)
    name = "one process" + (f", by {len(values)} of {n_cells} cells" if len(values) < n_cells else "")
    return name, Outcome(expected(len(values)), values)


def many_processes(study: Reference, n: int) -> Outcome:
    """One Optuna study in each of ``n`` processes; the choices of the first parameter are dealt out."""
    context = multiprocessing.get_context("spawn")
    grid = grid_of(study)
    name = max(grid, key=lambda parameter: len(grid[parameter]))
    ready, done = context.Queue(), context.Queue()
    go = context.Event()
    parts = [grid | {name: grid[name][part::n]} for part in range(n) if grid[name][part::n]]
    arguments = [(study.fresh(), part, ready, go, done) for part in parts]
    processes = [context.Process(target=part_of_grid, args=its, daemon=True) for its in arguments]
    for process in processes:
        process.start()
    for _ in processes:
        received(ready, processes)
    begun = time.perf_counter()
    go.set()
    values: dict[str, float] = {}
    for _ in processes:
        values |= received(done, processes)
    seconds = time.perf_counter() - begun
    for process in processes:
        process.join()
    return Outcome(seconds, values)


def received(queue: Any, processes: Sequence[Any]) -> Any:
    """What a process sends; an error if one of them ends without having sent it."""
    while True:
        try:
            return queue.get(timeout=1)
        except Empty:
            if any(process.exitcode for process in processes):
                raise SystemExit("a process of the optuna engine failed; its error is above") from None


def part_of_grid(study: Reference, grid: dict[str, list[Any]], ready: Any, go: Event, done: Any) -> None:
    """A process: import, load, wait for the start, search a part of the grid with one thread."""
    loop = loop_of(study, 1)
    ready.put(True)
    go.wait(START_SECONDS)
    done.put(grid_search(study, loop, grid))


def grid_of(study: Reference) -> dict[str, list[Any]]:
    """The grid's choices by parameter, as Optuna takes them."""
    return {name: value for name, value in study.written["space"].items() if isinstance(value, list) and len(value) > 1}


def grid_search(
    study: Reference,
    loop: PlainLoop,
    grid: Mapping[str, Sequence[Any]],
    ends: Callable[[int], bool] = lambda n_done: False,
) -> dict[str, float]:
    """Every cell of ``grid`` once, by Optuna; no further ones where ``ends`` says so of the number done."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    objective, values = objective_of(study, loop.val_loss)

    def suggested(trial: optuna.Trial) -> float:
        return objective({name: trial.suggest_categorical(name, choices) for name, choices in grid.items()})

    def stop(searched: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if ends(len(values)):
            searched.stop()

    searched = optuna.create_study(sampler=optuna.samplers.GridSampler(grid, seed=0))
    searched.optimize(suggested, callbacks=[stop])
    return values


def objective_of(
    study: Reference, val_loss: Callable[[Any], float]
) -> tuple[Callable[[Mapping[str, Any]], float], dict[str, float]]:
    """A function of the varied parameters, and the values it has found by cell."""
    space = Space(study.spec, study.updates_per_epoch)
    assert space.n_cells is not None
    fixed = {name: value for name, value in space.cell(0).items() if name not in grid_of(study)}
    values: dict[str, float] = {}

    def objective(params: Mapping[str, Any]) -> float:
        whole = fixed | dict(params)
        value = values[cell_name(whole)] = val_loss(space.schedule(whole))
        return min(value, 1e30)  # Optuna refuses NaN, Ray prefers finite numbers

    return objective, values


def with_ray_tune(study: Reference, machine: Machine) -> Outcome:
    """Ray Tune with its Optuna searcher over the grid, one trial an actor, one core a trial; actors are reused.

    Where there is a GPU, each of them has its share of it: an actor without one would not see it.
    """
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "0", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1"}
    try:
        import ray
        from ray import tune
        from ray.tune.search.optuna import OptunaSearch
    except ModuleNotFoundError as error:
        raise SystemExit(f"the ray-tune engine needs Ray: pip install 'ray[tune]' ({error})") from None
    logging.getLogger("ray").setLevel(logging.WARNING)
    grid = grid_of(study)
    folder = os.path.dirname(os.path.abspath(__file__))
    paths = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
    ray.init(
        num_cpus=machine.cores,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {"PYTHONPATH": paths}},
    )
    try:
        space = {name: optuna.distributions.CategoricalDistribution(choices) for name, choices in grid.items()}
        share = {"cpu": 1} | ({"gpu": 1 / machine.cores} if torch.cuda.is_available() else {})
        searcher = OptunaSearch(space, metric="val_loss", mode="min", sampler=optuna.samplers.GridSampler(grid, seed=0))
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(ray_trial, study=study.fresh()), share),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                num_samples=len(study.cells),
                max_concurrent_trials=machine.cores,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(verbose=0),
        )
        results = tuner.fit()
        if results.errors:
            raise SystemExit(f"a trial of the ray-tune engine failed: {results.errors[0]}")
        rows = [result.metrics for result in results]
    finally:
        ray.shutdown()
    seconds = max(row["ended"] for row in rows) - min(row["begun"] for row in rows)
    return Outcome(seconds, {row["cell"]: row["exact"] for row in rows})


_LOOPS: dict[str, PlainLoop] = {}


def ray_trial(config: dict[str, Any], study: Reference) -> dict[str, Any]:
    """One cell in a Ray actor; begun = when everything was imported and loaded."""
    if study.name not in _LOOPS:
        _LOOPS[study.name] = loop_of(study, 1)
    objective, values = objective_of(study, _LOOPS[study.name].val_loss)
    begun = time.time()
    loss = objective(config)
    (cell,) = values
    return {"val_loss": loss, "exact": values[cell], "cell": cell, "begun": begun, "ended": time.time()}
