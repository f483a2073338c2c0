"""Peak memory: what a process really took is seen, under the label of whoever is watched."""

from __future__ import annotations

import os
import subprocess
import sys

from testnet import memory
from testnet.memory import PeakMemory

MIB = 1 << 20
HOLDER = "import sys; held = bytearray({size}); print('held', flush=True); sys.stdin.read()"


def wait_sampled(peak: PeakMemory, label: str) -> None:
    while label not in peak.peaks:
        os.sched_yield()


def test_a_peak_is_kept_after_the_process_has_ended() -> None:
    command = [sys.executable, "-c", HOLDER.format(size=100 * MIB)]
    with PeakMemory() as peak:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            held = memory.resident_bytes(child.pid)
            peak.watch("holder", child.pid)
            wait_sampled(peak, "holder")
            assert child.stdin is not None
            child.stdin.close()
        peak.watch("witness of one more sample", os.getpid())
        wait_sampled(peak, "witness of one more sample")
        assert memory.resident_bytes(child.pid) == 0
    assert 100 * MIB < held < 200 * MIB
    assert peak.peaks["holder"] >= held


def test_used_cpu_time_grows() -> None:
    before = memory.cpu_seconds(os.getpid())
    while memory.cpu_seconds(os.getpid()) < before + 0.05:
        sum(range(1000))
    assert memory.cpu_seconds(os.getpid()) < before + 60
