"""Have a peer, or all holders of something, prove that they keep what they have signed for."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from crypto.peer_id import BadPeerIdError, peer_id_from_text
from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, new_app
from p2pnode.cli.output import one_line, print_facts, print_json, reporting
from p2pnode.cli.tables import Row, print_table
from p2pnode.errors import ExitCode
from p2pnode.reputation.scores import Verdict
from p2pnode.services.results import Audited
from p2pnode.wording import counted, human_bytes

app = new_app()

_EXIT_CODES: dict[str, ExitCode] = {
    Verdict.OK: ExitCode.OK,
    Verdict.WRONG: ExitCode.INTEGRITY,
    Verdict.ABSENT: ExitCode.INTEGRITY,
    Verdict.TIMEOUT: ExitCode.SILENT,
    Verdict.OFFLINE: ExitCode.SILENT,
    Verdict.BUSY: ExitCode.SILENT,
}

_TITLES = Row(("shard", "verdict", "after", "score"), ("peer", "why"))

_WORST_FIRST = (ExitCode.INTEGRITY, ExitCode.ERROR, ExitCode.SILENT)


@app.command()
def audit(
    what: Annotated[
        str,
        typer.Argument(
            metavar="PEER|ID",
            help="A peer id, as 'p2pnode peers' shows it, or what 'put' printed: then all its holders.",
            show_default=False,
        ),
    ],
    *,
    as_json: JsonOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Have a peer prove now that it keeps a pair, drawn from those that it has signed for; or all holders of an ID."""
    with reporting(as_json=as_json):
        if _is_peer_id(what):
            found = [daemon_of(home).audit(what)]
            _print_one(found[0], as_json=as_json)
        else:
            found = daemon_of(home).audit_holders(what)
            _print_all(found, as_json=as_json)
    codes = {_EXIT_CODES.get(each.verdict, ExitCode.ERROR) for each in found}
    for code in _WORST_FIRST:
        if code in codes:
            raise typer.Exit(code)


def _is_peer_id(text: str) -> bool:
    try:
        peer_id_from_text(text)
    except BadPeerIdError:
        return False
    return True


def _print_one(audited: Audited, *, as_json: bool) -> None:
    if as_json:
        print_json(dataclasses.asdict(audited))
        return
    print_facts(
        [
            ("peer", audited.peer_id),
            ("asked for", f"shard {audited.shard} of {audited.blob_id}"),
            ("on", audited.asked_on),
            ("verdict", f"{audited.verdict}: {one_line(audited.reason)}"),
            ("answer", f"{human_bytes(audited.answer_bytes)} after {audited.seconds:.2f} s"),
            ("score", f"{audited.score:.3f}"),
            ("receipt", one_line(audited.receipt)),
        ]
    )


def _print_all(found: list[Audited], *, as_json: bool) -> None:
    if as_json:
        print_json({"audits": [dataclasses.asdict(each) for each in found]})
        return
    if not found:
        print("no other node has a live receipt for it")
        return
    print_table(_TITLES, [_row(each) for each in found])
    proven = sum(each.verdict == Verdict.OK for each in found)
    print(f"proven by {proven} of {counted(len(found), 'holder')}")


def _row(audited: Audited) -> Row:
    cells = (str(audited.shard), audited.verdict, f"{audited.seconds:.2f} s", f"{audited.score:.3f}")
    return Row(cells, (audited.peer_id, "" if audited.verdict == Verdict.OK else audited.reason))


command = typer.main.get_command(app)
