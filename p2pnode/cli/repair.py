"""Show what is missing of blobs that your node has a part in, and what it is going to rebuild."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, new_app
from p2pnode.cli.output import one_line, print_json, reporting
from p2pnode.cli.tables import Row, print_table
from p2pnode.errors import CallerError
from p2pnode.services.results import RepairReport, RepairTask
from p2pnode.wording import counted, human_bytes, human_duration

app = new_app()


@app.command()
def repair(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done and how many bytes it takes; do nothing.")
    ] = False,
    as_json: JsonOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Show what is missing of blobs that your node has a part in, and what it is going to rebuild.

    The daemon repairs by itself, without any command.
    """
    with reporting(as_json=as_json):
        if not dry_run:
            raise CallerError("a running daemon repairs by itself; 'p2pnode repair --dry-run' shows what it would do")
        report = daemon_of(home).repairs()
        if as_json:
            print_json(dataclasses.asdict(report))
        else:
            _print_for_a_person(report)


def summary(report: RepairReport) -> str:
    """Return one line about all of it."""
    if report.pairs_missing:
        waiting = f"{counted(report.pairs_missing, 'pair')} missing, {report.pairs_ours} of them for this node"
        reasons = [each.waits_for for each in report.tasks if each.rank is not None and each.waits_for]
        why = f": {reasons[0]}" if reasons else ""
        now = f"{waiting}{why}"
    else:
        now = "nothing is missing"
    if not report.pairs_rebuilt:
        return now
    moved = f"{human_bytes(report.bytes_moved)} moved for {human_bytes(report.bytes_rebuilt)}"
    return f"{now}; {counted(report.pairs_rebuilt, 'pair')} rebuilt, {moved}"


def _print_for_a_person(report: RepairReport) -> None:
    if report.tasks:
        titles = Row(("level", "to spare", "pairs", "size", "turn", "waits for"), ("blob",))
        print_table(titles, [Row(_cells(each), (each.blob_id,)) for each in report.tasks])
        print()
        size = sum(each.pair_bytes for each in report.tasks if each.rank is not None)
        rate = f"at most {human_bytes(report.bytes_per_s_max)}/s"
        print(f"this node would move about {human_bytes(size)}, {rate}")
    for each in report.tasks:
        if each.last_failure:
            print(f"! shard {each.shard} of {each.blob_id}: {one_line(each.last_failure)}")
    if report.credit_in_s > 0:
        print(f"it goes on in {human_duration(report.credit_in_s)}")
    print(summary(report))


def _cells(task: RepairTask) -> tuple[str, ...]:
    turn = "others" if task.rank is None else str(task.rank + 1)
    waits_for = task.waits_for or "nothing, it is next"
    return task.level, str(task.pairs_to_spare), str(task.pairs), human_bytes(task.pair_bytes), turn, waits_for


command = typer.main.get_command(app)
