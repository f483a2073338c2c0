"""Compute the blob id of a file, without a daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from p2pnode.cli.local_files import open_source
from p2pnode.cli.options import JsonOption, new_app
from p2pnode.cli.output import print_json, reporting
from p2pnode.coding import blob_bytes_max, blob_id
from p2pnode.errors import CallerError
from p2pnode.wording import human_bytes
from wire import limits

app = new_app()


@app.command(name="blob-id")
def blob_id_of_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file; '-' is stdin.", show_default=False)],
    *,
    shards: Annotated[int, typer.Option(min=limits.SHARDS_MIN, max=limits.SHARDS_MAX, help="Number of shards.")],
    as_json: JsonOption = False,
) -> None:
    """Compute the id that a file has as one blob of N shards."""
    with reporting(as_json=as_json):
        data = _read(file, n=shards)
        found = blob_id(data, shards).text()
        if as_json:
            print_json({"id": found, "size": len(data), "n": shards})
        else:
            print(found)


def _read(file: Path, *, n: int) -> bytes:
    most = blob_bytes_max(n)
    pieces: list[bytes] = []
    size = 0
    with open_source(file) as source:
        if source.size is not None and source.size > most:
            raise _too_long(source.name, n=n, most=most)
        for chunk in source.chunks(lambda _count: None):
            size += len(chunk)
            if size > most:
                raise _too_long(source.name, n=n, most=most)
            pieces.append(chunk)
    return b"".join(pieces)


def _too_long(name: str, *, n: int, most: int) -> CallerError:
    message = (
        f"{name} is longer than one blob of {n} shards can be, {most} bytes ({human_bytes(most)}): use more shards"
    )
    return CallerError(message)


command = typer.main.get_command(app)
