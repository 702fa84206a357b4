"""Options that several commands take, each described once."""

from __future__ import annotations

from typing import Annotated

import typer

Server = Annotated[
    str | None, typer.Option("--server", envvar="LRSEARCH_SERVER", help="The service's address, http://host:port.")
]
Token = Annotated[
    str | None,
    typer.Option("--token", envvar="LRSEARCH_TOKEN", show_envvar=False, help="The service's token (LRSEARCH_TOKEN)."),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        envvar="LRSEARCH_DATABASE_URL",
        help="sqlite:///file or postgresql://...; default: a file in your data folder.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
File = Annotated[str, typer.Argument(metavar="FILE", help="A YAML or JSON file, a shipped study's name, or - .")]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Write over the spec: --set budget.trials=8")
]
Name = Annotated[str | None, typer.Option("--name", help="The name, instead of the one in the file.")]
Tasks = Annotated[
    list[str] | None, typer.Option("--task", metavar="FILE:CLASS", help="Your own task: --task my.py:MyTask")
]
Follow = Annotated[bool, typer.Option("--follow", help="Show progress until it is over.")]
