"""The command line: thin commands, one module a noun; what is heavy is imported inside them."""

from __future__ import annotations

import typer

from . import (
    audit,
    best,
    catalog,
    checkpoint,
    compare,
    database,
    demo,
    diagnose,
    export,
    plot,
    preview,
    range_test,
    run,
    serve,
    studies,
    submit,
    token,
    trials,
    worker,
)
from .exits import Commands

app = typer.Typer(
    name="lrsearch",
    cls=Commands,
    help="Search learning-rate schedules: train many, get the best one as code.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("demo")(demo.demo)
app.command("run")(run.run)
app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.command("submit")(submit.submit)
app.command("preview")(preview.preview)
app.command("list")(studies.list_)
app.command("status")(studies.status)
app.command("trials")(trials.trials)
app.command("best")(best.best)
app.command("plot")(plot.plot)
app.command("export")(export.export)
app.command("diagnose")(diagnose.diagnose)
app.command("checkpoint")(checkpoint.checkpoint)
app.command("pause")(studies.pause)
app.command("resume")(studies.resume)
app.command("cancel")(studies.cancel)
app.command("delete")(studies.delete)
app.command("compare")(compare.compare)
app.command("range-test")(range_test.range_test)
app.command("catalog")(catalog.catalog)
app.add_typer(token.app, name="token")
app.command("audit")(audit.audit)
app.add_typer(database.app, name="db")

__all__ = ["app"]
