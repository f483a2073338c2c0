"""Store a file in the network and print its reference."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from crypto.peer_id import peer_id_from_text, public_key_of
from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.local_files import open_source
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, QuietOption, new_app, seconds_of
from p2pnode.cli.output import one_line, print_facts, print_json, print_warning, reporting
from p2pnode.cli.progress import progress_bar
from p2pnode.errors import CallerError, ExitCode
from p2pnode.services.owner_face import PutOptions
from p2pnode.services.results import PutResult
from p2pnode.wording import counted, human_bytes, human_date, human_duration
from wire import limits
from wire.ids import PublicKey

app = new_app()


@app.command()
def put(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to store; '-' is stdin.", show_default=False)],
    *,
    shards: Annotated[
        int | None,
        typer.Option(
            min=limits.SHARDS_MIN, max=limits.SHARDS_MAX, help="Number of shards, instead of the node's choice."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What 'p2pnode ls' calls it, instead of the file's name.", show_default=False)
    ] = None,
    keep_for: Annotated[
        str | None,
        typer.Option(
            "--for", help="How long to keep it, such as 90d; else for as long as your node runs.", show_default=False
        ),
    ] = None,
    renewer: Annotated[
        list[str] | None,
        typer.Option(help="A peer id, or an owner key in hex, that may renew it too.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Store a file in the network and print its reference. Whoever has the reference can read the file."""
    with reporting(as_json=as_json):
        with (
            open_source(file) as source,
            progress_bar(source.name, size=source.size, wanted=not quiet) as progress,
        ):
            options = PutOptions(
                name=one_line(_name_of(file) if name is None else name)[: limits.TEXT_CHARS_MAX],
                keep_for_s=None if keep_for is None else seconds_of(keep_for, option="--for"),
                renewers=tuple(_key_of(each) for each in renewer or ()),
            )
            result = daemon_of(home).put(source.chunks(progress), size=source.size, shards=shards, options=options)
        if as_json:
            print_json(dataclasses.asdict(result))
        elif quiet:
            print(result.id)
        else:
            _print_for_a_person(source.name, result, options)
        if result.healthy < result.n:
            message = f"certified, but on {result.healthy} of {result.n} shards so far: the network goes on towards all"
            print_warning(message, reason="PARTIAL", exit_code=ExitCode.PARTIAL, as_json=as_json)
            raise typer.Exit(ExitCode.PARTIAL)


def _name_of(file: Path) -> str:
    """Return what `ls` calls a file unless told: its own name, and none for stdin."""
    return "" if str(file) == "-" else file.name


def _key_of(text: str) -> PublicKey:
    """Return the key that a peer id carries, or that stands there in hex. Raises `CallerError`."""
    try:
        return PublicKey(public_key_of(peer_id_from_text(text)))
    except ValueError:
        pass
    try:
        return PublicKey(bytes.fromhex(text))
    except ValueError as error:  # Not hex, or another length.
        message = f"--renewer {text!r}: expected a peer id, or an owner key of 64 hex digits"
        raise CallerError(message) from error


def _print_for_a_person(name: str, result: PutResult, options: PutOptions) -> None:
    parts = "" if result.segments == 1 else f" in {result.segments} segments"
    speed = f", {human_bytes(int(result.size / result.seconds))}/s" if result.seconds > 0 else ""
    renewed = "while it runs" if options.keep_for_s is None else f"for {human_duration(options.keep_for_s)}"
    print_facts(
        [
            ("stored", f"{name}, {human_bytes(result.size)}{parts}, in {result.seconds:.1f} s{speed}"),
            ("shards", f"{result.healthy} of {result.n}; any {counted(result.nodes_that_may_fail, 'node')} may fail"),
            ("kept until", f"{human_date(result.lease_end)}, renewed by your node {renewed}"),
            ("public", "readable by anyone who has the reference"),
            ("id", result.id),
        ]
    )


command = typer.main.get_command(app)
