"""Read a file back from the network, by its reference."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.local_files import STANDARD_STREAM, LocalFileError, open_target
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, QuietOption, ReferenceArgument, new_app
from p2pnode.cli.output import print_facts, print_json, reporting
from p2pnode.cli.progress import progress_bar
from p2pnode.errors import CallerError
from p2pnode.wording import human_bytes

app = new_app()


@app.command()
def get(
    reference: ReferenceArgument,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write; '-' is stdout.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Read a file back. An existing FILE is replaced only when everything has come and was right."""
    with reporting(as_json=as_json):
        target = _target(output, as_json=as_json)
        started = time.monotonic()
        with (
            daemon_of(home).get(reference) as download,
            open_target(target) as write,
            progress_bar(str(target), size=download.size, wanted=not quiet) as progress,
        ):
            for chunk in download.chunks:
                write(chunk)
                progress(len(chunk))
        seconds = time.monotonic() - started
        if as_json:
            print_json({"id": reference, "size": download.size, "output": str(target), "seconds": round(seconds, 3)})
        elif target != STANDARD_STREAM and not quiet:
            print_facts([("wrote", f"{target}, {human_bytes(download.size)}, in {seconds:.1f} s")])


def _target(output: Path | None, *, as_json: bool) -> Path:
    if sys.stdout is None and output in {None, STANDARD_STREAM}:
        message = "stdout is closed: use -o FILE"
        raise LocalFileError(message)
    if as_json and output in {None, STANDARD_STREAM}:
        message = "--json prints to stdout too: use it with -o FILE"
        raise CallerError(message)
    if output is None and sys.stdout.isatty():
        message = "stdout is a terminal: use -o FILE, or -o - if it shall go there"
        raise CallerError(message)
    return STANDARD_STREAM if output is None else output


command = typer.main.get_command(app)
