"""How the commands of this package end: one line on stderr for an error, and the documented exit code."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec

import typer

from p2pnode.errors import ExitCode, P2PNodeError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")


def one_line_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Turn expected errors and interruption into a message and an exit code, without a traceback."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except P2PNodeError as error:
            _tell(str(error))
            raise typer.Exit(error.exit_code) from error
        except OSError as error:
            _tell(str(error))
            raise typer.Exit(ExitCode.ERROR) from error
        except KeyboardInterrupt as error:
            _tell("interrupted")
            raise typer.Exit(ExitCode.INTERRUPTED) from error

    return wrapped


def _tell(message: str) -> None:
    """Print a message as `p2pnode` prints its own."""
    typer.echo(f"p2pnode: {message}", err=True)
