"""The program itself: help, loading by name, and that every end is an exit code."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from p2pnode.cli import main as program
from p2pnode.errors import LeaseError
from tests.cli.conftest import Cli

COMMANDS = [
    "init",
    "invite",
    "join",
    "put",
    "get",
    "stat",
    "ls",
    "renew",
    "rm",
    "trash",
    "quota",
    "data",
    "status",
    "events",
    "peers",
    "audit",
    "verify",
    "evidence",
    "repair",
    "maintenance",
    "drain",
    "check",
    "id",
    "blob-id",
    "bench",
    "plan",
    "version",
    "run",
    "demo",
    "testnet",
    "sim",
]
HEAVY = {"fastapi", "starlette", "hypercorn", "httpx", "numpy", "libp2p", "trio", "rich", "testnet", "sqlite3"}


def broken() -> None:
    raise ValueError("first\nsecond")


def refused() -> None:
    raise LeaseError("it is over")


def interrupted() -> None:
    raise KeyboardInterrupt


def command_of(function: object) -> object:
    app = typer.Typer(add_completion=False)
    app.command()(function)  # type: ignore[type-var] # one of the three above
    return typer.main.get_command(app)


BROKEN, REFUSED, INTERRUPTED = map(command_of, (broken, refused, interrupted))


@pytest.fixture
def extended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three commands that come through the entry points, beside the real ones."""
    real = importlib.metadata.entry_points
    added = [
        importlib.metadata.EntryPoint(name.lower(), f"tests.cli.test_main:{name}", program.ENTRY_POINTS)
        for name in ("BROKEN", "REFUSED", "INTERRUPTED")
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [*real(group=group), *added])


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_help_has_a_line_on_every_command(cli: Cli, arguments: list[str]) -> None:
    ended = cli(*arguments)
    assert (ended.code, ended.err) == (0, "")
    lines = [line.split(maxsplit=1) for line in ended.out.decode().partition("Commands:")[2].splitlines() if line]
    assert {line[0] for line in lines} == set(COMMANDS)
    assert all(len(line) == 2 for line in lines), "each has a summary"


@pytest.mark.parametrize("command", COMMANDS[:10])
def test_every_command_has_help(cli: Cli, command: str) -> None:
    ended = cli(command, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert f"p2pnode {command}" in ended.out.decode()


@pytest.mark.parametrize("arguments", [["--version"], ["version"]])
def test_the_version_is_printed(cli: Cli, arguments: list[str]) -> None:
    assert cli(*arguments).out.decode() == importlib.metadata.version("p2pnode") + "\n"


@pytest.mark.parametrize(
    ("arguments", "text"), [(["nonsense"], "nonsense"), (["pput"], "'put'"), (["--nonsense"], "--nonsense")]
)
def test_an_unknown_command_or_option_is_one_line(cli: Cli, arguments: list[str], text: str) -> None:
    ended = cli(*arguments)
    assert ended.code == 2
    assert text in ended.error()


@pytest.mark.usefixtures("extended")
def test_a_command_from_an_entry_point_ends_with_its_own_exit_code(cli: Cli) -> None:
    ended = cli("refused")
    assert (ended.code, ended.error()) == (8, "p2pnode: it is over")


@pytest.mark.usefixtures("extended")
def test_an_interrupted_command_ends_with_130(cli: Cli) -> None:
    assert cli("interrupted").code == 130


@pytest.mark.usefixtures("extended")
def test_a_bug_is_one_line_and_its_traceback_can_be_asked_for(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = cli("broken")
    assert ended.code == 1
    assert "ValueError: first second" in ended.error()
    monkeypatch.setenv("P2PNODE_TRACEBACK", "1")
    assert "Traceback" in cli("broken").err


def test_a_command_starts_without_loading_what_it_does_not_need(tmp_path: Path) -> None:
    script = (
        "import sys; from p2pnode.cli.main import main; code = main();"
        "print(code, *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, "put", str(tmp_path / "missing")], capture_output=True, text=True, check=True
    )
    code, *loaded = ended.stdout.split()
    assert code == "1"
    assert HEAVY.intersection(loaded) <= {"sqlite3"}


def test_a_reader_that_has_gone_is_no_error_message(cli: Cli) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with cli.start("version", stdout=writer) as process:
        os.close(writer)
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(20) == 1


def test_a_full_disk_behind_stdout_is_one_line(cli: Cli) -> None:
    with Path("/dev/full").open("wb") as full, cli.start("version", stdout=full) as process:
        assert process.stderr is not None
        assert process.stderr.read() == b"p2pnode: [Errno 28] No space left on device\n"
        assert process.wait(20) == 1
