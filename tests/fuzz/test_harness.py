"""The harness notices what a target must not do, repeats itself from a seed, and its parts do what they say."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

import wire.codec
from testnet.fuzz import campaign, command, measure, protobuf
from testnet.fuzz.campaign import Campaign, Finding
from testnet.fuzz.corpus import read_corpus, write_finding
from testnet.fuzz.lines import CoveredLines
from testnet.fuzz.mutator import INPUT_BYTES_MAX, damaged
from testnet.fuzz.network_inputs import damaged as damaged_once
from testnet.fuzz.plain import NotPlainError, edited, read_plain, write_plain
from testnet.fuzz.target import Target, plain
from testnet.fuzz.targets import all_targets
from testnet.fuzz.values import SIGNED_KINDS, all_kinds, edited_value, random_value
from tests.wire.test_fuzz import PLAIN
from tests.wire.test_golden import GOLDEN
from wire import limits
from wire.codec import decode, encode
from wire.errors import WireError

INPUTS = 300


def target(function: Callable[[bytes], object], **changes: object) -> Target:
    """Return a target that begins with one honest input."""
    made = Target(
        name="planted",
        open=plain(function),
        errors=(WireError,),
        seeds=lambda _rng: [b"\x00\x00\x00\x04data"],
        modules=(wire.codec,),
    )
    return replace(made, **changes)  # type: ignore[arg-type] # the fields of a target, by name


def findings(planted: Target, *, seed: int) -> list[str]:
    return [each.what for each in Campaign(planted, seed=seed).run(INPUTS, counts_lines=False).findings]


def test_a_target_that_keeps_its_promise_has_no_findings(seed: int) -> None:
    def decoder(data: bytes) -> bytes:
        if len(data) < 4:
            raise WireError("too short")
        return data[4:]

    assert findings(target(decoder), seed=seed) == []


def test_an_error_that_is_not_named_is_found_with_its_input(seed: int) -> None:
    def decoder(data: bytes) -> int:
        return data[0] if len(data) < 20 else data[1000]

    report = Campaign(target(decoder), seed=seed).run(INPUTS, counts_lines=False)
    assert report.findings[0].what.startswith("raised IndexError")
    with pytest.raises(IndexError):
        decoder(report.findings[0].data)


def test_a_broken_assertion_is_found(seed: int) -> None:
    def decoder(data: bytes) -> None:
        assert data.startswith(b"\x00"), "two spellings"

    assert findings(target(decoder), seed=seed) == ["raised AssertionError: two spellings"]


def test_a_decoder_that_believes_a_length_is_found_by_its_memory(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "WEIGHED_EVERY", 4)  # Few inputs, so that more of them are measured.

    def decoder(data: bytes) -> int:
        return len(bytearray(min(int.from_bytes(data[:4], "big"), 1 << 22)))

    found = findings(target(decoder), seed=seed)
    assert found
    assert all("bytes of memory" in each for each in found)


def test_a_decoder_without_any_bound_fails_instead_of_the_machine(seed: int) -> None:
    def decoder(data: bytes) -> int:
        return len(bytearray(data[0] << 34)) if data else 0

    assert any("MemoryError" in each for each in findings(target(decoder), seed=seed))


def test_a_decoder_that_takes_too_long_is_found(seed: int) -> None:
    def decoder(data: bytes) -> int:
        return sum(range(400_000)) if len(data) % 16 == 15 else 0

    found = findings(target(decoder, cpu_s_max=0.002), seed=seed)
    assert found
    assert all("s of CPU" in each for each in found)


def test_a_decoder_that_never_ends_is_interrupted(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ENDLESS_S", 0.2)

    def decoder(data: bytes) -> None:
        while len(data) % 16 == 15:
            pass

    assert findings(target(decoder), seed=seed) == ["it does not end"]


def test_a_task_that_fails_beside_the_call_is_found(seed: int) -> None:
    """A handler's own nursery may fall without the call that fed it."""
    named = all_targets()["network/requests"]

    async def check(data: bytes) -> None:
        raise BaseExceptionGroup("a nursery", [ValueError(str(len(data)))])

    from contextlib import asynccontextmanager  # noqa: PLC0415 - what one test builds its target with

    @asynccontextmanager
    async def opened(_rng: random.Random):  # type: ignore[no-untyped-def] # noqa: ANN202 - a generator of one check
        yield check

    assert findings(replace(named, open=opened), seed=seed)[0].startswith("raised ExceptionGroup")


def test_one_seed_gives_one_campaign_and_another_seed_another() -> None:
    def run(seed: int) -> tuple[int, int, int]:
        report = Campaign(all_targets()["wire/Lease"], seed=seed).run(INPUTS, counts_lines=False)
        return report.inputs, report.past_framing, report.outcomes

    assert run(7) == run(7)
    assert len({run(seed) for seed in range(4)}) > 1


def test_most_inputs_of_a_decoder_get_past_its_framing(seed: int) -> None:
    report = Campaign(all_targets()["wire/StorePair"], seed=seed).run(1000, counts_lines=False)
    assert report.share > command.SHARE_MIN
    assert command.complaints_of(report) == []
    assert command.complaints_of(replace(report, past_framing=report.inputs // 6)) != []


def test_covered_lines_are_counted_inside_functions() -> None:
    lines = CoveredLines([protobuf])
    assert lines.hit == 0
    with lines.watching():
        protobuf.read_fields(b"\x08\x01")
    some = lines.hit
    with lines.watching():
        protobuf.write_fields([protobuf.Field(1, 0, 300)])
    assert 0 < some < lines.hit < lines.total


def test_a_finding_is_written_read_and_repeated_by_one_line(
    tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = Finding("text/reference", b"nonsense", "raised")
    path = write_finding(finding, tmp_path)
    assert read_corpus("text/reference", tmp_path) == [b"nonsense"]
    line = command.repeat_line(finding, path)
    assert command.main(line.split()[3:]) == 0
    assert "keeps its promise" in capsys.readouterr().out
    assert command.main(["--target", "nothing"]) == 2
    assert command.main(["--list", "--target", "text/"]) == 0
    assert "text/invitation" in capsys.readouterr().out
    arguments = ["--target", "text/reference", "--inputs", "50", "--processes", "1", "--seed", str(seed)]
    assert command.main([*arguments, "--findings", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert f"seed {seed}" in out
    assert "0 findings" in out


def test_a_broken_promise_ends_the_command_with_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def decoder(_data: bytes) -> None:
        raise KeyError("planted")

    monkeypatch.setattr(command, "all_targets", lambda: {"planted": target(decoder)})
    status = command.main(["--inputs", "20", "--processes", "1", "--seed", "1", "--findings", str(tmp_path)])
    out = capsys.readouterr().out
    assert status == 1
    assert "planted: raised KeyError" in out
    (path,) = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert f"--target planted --replay {path}" in out
    assert command.main(["--target", "planted", "--replay", str(path)]) == 1


def test_a_long_campaign_is_cut_into_jobs_and_put_together_again() -> None:
    jobs = command.jobs_of(["wire/Lease", "network/host"], inputs=60_000, seed=3)
    assert [job.inputs for job in jobs if job.target == "wire/Lease"] == [25_000, 25_000, 10_000]
    assert len({job.seed for job in jobs if job.target == "wire/Lease"}) == 3
    assert sum(job.inputs for job in jobs if job.target == "network/host") == all_targets()["network/host"].inputs_max
    reports = [Campaign(target(lambda _data: None), seed=seed).run(30) for seed in range(2)]
    whole = command.merged(reports)
    assert whole.inputs == sum(each.inputs for each in reports)
    assert "planted" in command.row_of(whole)


# The parts: edits, trees, values.


def test_damage_changes_most_inputs_and_keeps_them_bounded(rng: random.Random) -> None:
    data = rng.randbytes(200)
    changed = [damaged(rng, data, [data[::-1]]) for _ in range(400)]
    assert sum(each != data for each in changed) > 390
    assert max(map(len, changed)) <= INPUT_BYTES_MAX
    assert any(damaged(rng, b"", []) for _ in range(20))  # A later edit may take away what an earlier one put in.
    assert sum(damaged_once(rng, data) != data for _ in range(400)) > 360


@given(PLAIN)
def test_a_tree_is_written_as_msgpack_writes_it(value: object) -> None:
    packed = msgpack.packb(value, use_bin_type=True)
    try:
        tree = read_plain(packed)
    except NotPlainError:
        return  # Floats, maps and negative numbers are not for our codec.
    assert tree == value
    assert msgpack.unpackb(write_plain(tree), raw=False) == value


@given(st.binary(max_size=300))
def test_any_bytes_are_a_tree_or_are_not(data: bytes) -> None:
    try:
        tree = read_plain(data)
    except NotPlainError:
        return
    assert read_plain(write_plain(tree)) == tree


def test_edited_trees_of_golden_messages_are_msgpack(rng: random.Random) -> None:
    for golden in GOLDEN:
        tree = read_plain(golden.data)
        for _ in range(20):
            changed = write_plain(edited(rng, tree, tree))
            msgpack.unpackb(changed, raw=False, unicode_errors="replace")
        assert write_plain(tree) == golden.data


def test_random_and_edited_values_of_every_type_are_within_its_limits(rng: random.Random) -> None:
    for kind in all_kinds():
        value = random_value(kind, rng)
        for _ in range(15):
            value = edited_value(value, rng)
            data = encode(value)
            assert decode(data, kind, bytes_max=limits.BLOB_BYTES_MAX) == value
    assert set(SIGNED_KINDS) <= set(all_kinds())


@given(st.binary(max_size=300))
def test_any_bytes_are_protobuf_fields_or_are_not(data: bytes) -> None:
    try:
        fields = protobuf.read_fields(data)
    except protobuf.NotProtobufError:
        return
    assert protobuf.read_fields(protobuf.write_fields(fields)) == fields


def test_memory_is_bounded_in_the_block_only() -> None:
    with measure.bounded_memory(1 << 28), pytest.raises(MemoryError):
        bytearray(1 << 30)
    assert os.getpid()
    assert len(bytearray(1 << 26)) == 1 << 26
