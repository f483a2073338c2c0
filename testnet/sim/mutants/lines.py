"""`python -m testnet.sim.mutants.lines FILE`: delete each line of a file, and name those that nothing misses."""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from testnet.sim.mutants.deletions import Deletion, deletions
from testnet.sim.mutants.fresh import Ended, fresh_calls
from testnet.sim.mutants.planting import ROOT, plant, require_planted

TESTS = ("tests/services/test_put_get.py", "tests/services/test_put_streams.py")
"""What put and get are tested by; the first failure ends the check of a deletion."""

SEED = "1"
"""The seed of the tests, so that a survivor is one tomorrow too."""

CPU_SECONDS_MAX = 240
"""Several times what all tests take when nothing fails."""

_PRELOADED = "-Wignore::pytest.PytestAssertRewriteWarning"
"""Its plugins' libraries are loaded before pytest can rewrite their asserts; nobody needs that here."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Check:
    """One deletion to be checked."""

    module: str
    deletion: Deletion
    tests: tuple[str, ...] = TESTS


class _FirstFailure:
    """A plugin of pytest's that notes which test failed."""

    def __init__(self) -> None:
        self.name = ""

    def pytest_runtest_logreport(self, report: Any) -> None:  # noqa: ANN401 - pytest has its own types
        """Note a failure."""
        if report.failed and not self.name:
            self.name = report.nodeid


def what_fails(check: Check) -> str:
    """Return what fails without these lines: the import, or a test; empty when nothing does. For a fresh process."""
    plant(check.module, check.deletion.source)
    os.environ["P2PNODE_TEST_SEED"] = SEED
    pytest = import_module("pytest")
    failure = _FirstFailure()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            import_module("p2pnode.node")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is noticed
            return f"the import: {type(error).__name__}"
        options = ["-x", "-q", "-p", "no:cacheprovider", _PRELOADED, f"--rootdir={ROOT}"]
        code = pytest.main([*options, *(str(ROOT / each) for each in check.tests)], plugins=[failure])
    require_planted(check.module)
    if code == 0:
        return ""
    return failure.name or f"pytest ends with {code}"


def survivors(checks: list[Check]) -> list[Deletion]:
    """Return the deletions that nothing misses, in the order of their lines; prints each as it becomes known."""
    found = []
    for check, result in fresh_calls(what_fails, checks, cpu_seconds_max=CPU_SECONDS_MAX):
        deletion = check.deletion
        what = result.reason if isinstance(result, Ended) else result
        print(f"{deletion.first}-{deletion.last}: {what or 'NOTHING FAILS'}: {deletion.text}", flush=True)
        if not what:
            found.append(deletion)
    return sorted(found, key=lambda each: each.first)


@app.command()
def main(
    file: Annotated[Path, typer.Argument(help="A file of production source.")],
    only: Annotated[str, typer.Option(metavar="FROM-TO", help="Only deletions that begin in these lines.")] = "",
) -> None:
    """Delete each line and each statement in turn; ends with 1 when nothing fails without one of them."""
    path = file.resolve()
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    low, _, high = only.partition("-")
    wanted = range(int(low or 1), int(high or low or 1_000_000) + 1)
    checks = [Check(module, each) for each in deletions(path.read_text(encoding="utf-8")) if each.first in wanted]
    found = survivors(checks)
    print(f"{len(checks)} deletions, {len(found)} of them missed by nothing")
    for deletion in found:
        print(f"{file}:{deletion.first}: {deletion.text}")
    if found:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
