"""Writes the lock files from their input files, each group without what an earlier group has.

Needs `uv` on the PATH. It is a tool for the rare upgrade, not for setup, so it is not locked itself.
"""

import re
import subprocess
import sys
from pathlib import Path

LOCKS = Path(__file__).resolve().parent.parent / "locks"
# Later groups are resolved under the versions of the earlier ones, so that all of them fit together.
GROUPS = ("build", "run", "dev")
OLDEST_PYTHON = "3.11"

# A pin begins at the start of a line; its hashes follow on indented lines.
PIN_START = re.compile(r"^(?=[a-z0-9])", re.MULTILINE)


def resolve(group: str, *, earlier: list[str]) -> list[str]:
    """Return the pins of a group, each with its marker and the hashes of every published file."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", OLDEST_PYTHON]
    command += ["--generate-hashes", "--upgrade", "--no-header", "--no-annotate"]
    command += ["--override", str(LOCKS / "overrides.in")]
    for name in earlier:
        command += ["--constraint", str(LOCKS / f"{name}.txt")]
    # The inputs of the earlier groups are given too, so that what they share is resolved once.
    command += [str(LOCKS / f"{name}.in") for name in [*earlier, group]]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [pin.strip() for pin in PIN_START.split(text) if pin.strip()]


def requirement_of(pin: str) -> str:
    """Return the first line of a pin: name, version and marker."""
    return pin.splitlines()[0].removesuffix("\\").strip()


def main() -> int:
    """Write every lock file anew."""
    known: set[str] = set()
    for position, group in enumerate(GROUPS):
        pins = resolve(group, earlier=list(GROUPS[:position]))
        own = [pin for pin in pins if requirement_of(pin) not in known]
        known.update(map(requirement_of, own))
        header = f"# Written by tools/lock.py from locks/{group}.in. Do not edit.\n"
        (LOCKS / f"{group}.txt").write_text(header + "\n".join(own) + "\n", encoding="utf-8")
        sys.stdout.write(f"locks/{group}.txt: {len(own)} packages\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
