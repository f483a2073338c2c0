"""The kernel on a 64-bit ARM processor, emulated: every path there computes what those of this processor compute."""

import os
import subprocess
from pathlib import Path

from tests.capabilities import requires

TIMEOUT_S = 120
NATIVE = Path(__file__).parents[2] / "p2pnode" / "coding" / "native"
DRIVER = Path(__file__).with_name("agree.c")
FLAGS = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror")


def build(compiler: str, program: Path, *flags: str) -> None:
    """Compile the kernel and what drives it into one program."""
    sources = [str(path) for path in sorted(NATIVE.glob("*.c"))]
    command = [compiler, *FLAGS, *flags, f"-I{NATIVE}", *sources, str(DRIVER), "-o", str(program)]
    subprocess.run(command, check=True, timeout=TIMEOUT_S)


def results(*command: str) -> dict[str, dict[str, str]]:
    """Return, for each path, the hash of what it computed for each shape."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    found: dict[str, dict[str, str]] = {}
    for line in done.stdout.splitlines():
        shape, digest, path = line.split()
        found.setdefault(path, {})[shape] = digest
    return found


@requires("compiler")
@requires("arm emulator")
def test_neon_and_plain_code_on_arm_compute_what_every_path_here_computes(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    build(os.environ.get("CC", "cc"), here)
    build("aarch64-linux-gnu-gcc", there, "-static")
    ours, theirs = results(str(here)), results("qemu-aarch64", str(there))
    assert set(theirs) == {"scalar", "neon"}
    assert len(theirs["neon"]) > 10
    assert all(each == ours["scalar"] for each in [*ours.values(), *theirs.values()])
