"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HOME_DEFAULT = Path("~/.p2pnode")

HomeOption = Annotated[Path, typer.Option("--home", envvar="P2PNODE_HOME", help="The node's home.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print as little as possible.")]
ReferenceArgument = Annotated[str, typer.Argument(metavar="ID", help="What 'put' printed.", show_default=False)]


def new_app() -> typer.Typer:
    """Return an app for one command."""
    return typer.Typer(add_completion=False, rich_markup_mode=None)
