"""Print the version of this program."""

from __future__ import annotations

import importlib.metadata

import typer

from p2pnode.cli.options import new_app

app = new_app()


@app.command()
def version() -> None:
    """Print the version of this program."""
    print(importlib.metadata.version("p2pnode"))


command = typer.main.get_command(app)
