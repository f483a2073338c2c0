"""SIGKILL in the middle of a collection and of a quota that shrinks, on real files: nothing that is leased goes."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import trio

from p2pnode.storage.files import DiskFiles
from tests.storage.helpers import FINAL_END, check_accounting, check_readable, make_pair, open_store, store

PAIRS = 24
ROUNDS = 4

WORK = """
import sys
from pathlib import Path
import trio
from p2pnode.storage.files import DiskFiles
from tests.storage.helpers import open_store

async def work(root, now):
    target = await open_store(DiskFiles(Path(root)))
    print("open", flush=True)
    for step in range(10_000):
        target.set_quota((10 << 20) // (1 + step % 5))
        await target.collect(now - 10 * (step % 2))
        print("collected", flush=True)

trio.run(work, sys.argv[1], float(sys.argv[2]))
"""
"""Collects at a time before and after the end of leases, so that pairs go to the trash and come back all the while, and
shrinks and grows the quota, until somebody ends it; it tells each step."""


async def test_a_process_killed_while_it_collects_and_shrinks_loses_nothing_that_is_leased(
    tmp_path: Path, rng: random.Random
) -> None:
    """A part has expired for good, a part goes to the trash, a part is leased; each kill comes at another step."""
    pairs = [make_pair(rng) for _ in range(PAIRS)]
    target = await open_store(DiskFiles(tmp_path))
    for number, pair in enumerate(pairs):
        await store(target, pair)
        if number % 3:
            await target.certify(pair.certificate, pair.final)
    leased = [pair for number, pair in enumerate(pairs) if number % 3]
    provisional = [pair for number, pair in enumerate(pairs) if not number % 3]
    await target.close()
    for end in (provisional[0].provisional.record.end + 1, FINAL_END + 1):
        for _ in range(ROUNDS // 2):
            await _killed_at(tmp_path, now=end, lines=rng.randint(1, 6))
            target = await open_store(DiskFiles(tmp_path))
            check_accounting(target, tmp_path)
            if end <= FINAL_END:
                for pair in leased:
                    await check_readable(target, pair)
            await target.close()
    target = await open_store(DiskFiles(tmp_path))
    while (await target.collect(FINAL_END + 1)).has_more:
        pass
    assert set(await target.missing([pair.key for pair in pairs])) == {pair.key for pair in pairs}
    assert {(each.blob_id, each.shard) for each in await target.trash()} == {pair.key for pair in leased}
    check_accounting(target, tmp_path)
    await target.close()


async def _killed_at(root: Path, *, now: int, lines: int) -> None:
    """Let a process work until it has told so many lines, and kill it there."""
    process = await trio.to_thread.run_sync(
        lambda: subprocess.Popen([sys.executable, "-c", WORK, str(root), str(now)], stdout=subprocess.PIPE, text=True)
    )
    assert process.stdout is not None
    with process:
        for _ in range(lines):
            await trio.to_thread.run_sync(process.stdout.readline)
        process.kill()
