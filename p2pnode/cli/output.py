"""What commands print: results on stdout, for a person or as JSON; errors and warnings on stderr, one line each."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator

import typer

from p2pnode.errors import ExitCode, P2PNodeError
from p2pnode.wording import human_bytes


@contextlib.contextmanager
def reporting(*, as_json: bool) -> Iterator[None]:
    """Turn an error of our own into a report on stderr and the exit code that it stands for."""
    try:
        yield
    except P2PNodeError as error:
        raise typer.Exit(print_error(error, as_json=as_json)) from error


def print_error(error: P2PNodeError, *, as_json: bool) -> ExitCode:
    """Report an error; return its exit code."""
    _report("error", str(error), reason=error.reason, exit_code=error.exit_code, as_json=as_json)
    return error.exit_code


def print_warning(message: str, *, reason: str, exit_code: ExitCode, as_json: bool) -> None:
    """Report what went through but deserves attention, and gives the command this exit code."""
    _report("warning", message, reason=reason, exit_code=exit_code, as_json=as_json)


def print_note(message: str) -> None:
    """Tell the user something on stderr."""
    _print_to_stderr(message)


def print_usage_error(error: typer.TyperException) -> ExitCode:
    """Report arguments that make no sense; return the exit code."""
    context = getattr(error, "ctx", None)
    command = "p2pnode" if context is None else context.command_path
    _print_to_stderr(f"p2pnode: {one_line(error.format_message())} (see '{command} --help')")
    return ExitCode.USAGE


def print_json(value: object) -> None:
    """Print a result for programs: one line of JSON."""
    print(json.dumps(value))


def print_facts(facts: list[tuple[str, str]]) -> None:
    """Print a result for a person: a name and a value a line. Nothing is wrapped, so that values can be copied."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        print(f"{name:<{width}}  {value}")


def one_line(text: str) -> str:
    """Return the text as one printable line: parts of it may come from elsewhere."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))


def overhead(stored_bytes: int, size: int) -> str:
    """Write how much room something takes in the network, and how many times its size that is."""
    times = f", {stored_bytes / size:.2f} times the size" if size else ""
    return f"{human_bytes(stored_bytes)} on all nodes together{times}"


def _report(kind: str, message: str, *, reason: str, exit_code: ExitCode, as_json: bool) -> None:
    line = one_line(message)
    if as_json:
        _print_to_stderr(json.dumps({kind: {"reason": reason, "message": line, "exit_code": int(exit_code)}}))
    else:
        _print_to_stderr(f"p2pnode: {line}" if kind == "error" else f"p2pnode: {kind}: {line}")


def _print_to_stderr(line: str) -> None:
    with contextlib.suppress(OSError):  # Nobody listens; the exit code still tells.
        print(line, file=sys.stderr, flush=True)
