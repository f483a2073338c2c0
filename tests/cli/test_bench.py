"""`bench coding`: what it says of the kernel, that it measures everything, and what it refuses."""

from __future__ import annotations

import pytest

from p2pnode.cli import bench
from p2pnode.coding import choice
from p2pnode.coding.kernel import VARIABLE
from tests.cli.conftest import Cli

FIGURES = ("encode_mb_per_s", "verify_mb_per_s", "decode_mb_per_s")


@pytest.fixture(autouse=True)
def _once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each figure be measured once only: how fast this is does not matter here."""
    monkeypatch.setattr(bench, "SECONDS_EACH", 0.0)


@pytest.mark.parametrize(("n", "size", "length"), [(4, "1B", 1), (10, "64KiB", 65536), (31, "1MB", 1000000)])
def test_bench_coding_measures_every_work_with_one_thread_and_with_two(
    cli: Cli, n: int, size: str, length: int
) -> None:
    ended = cli("bench", "coding", "--n", str(n), "--size", size, "--json")
    assert (ended.code, ended.err) == (0, "")
    answer = ended.json()
    assert {"n": n, "size": length}.items() <= answer.items()
    speeds = answer["speeds"]
    assert isinstance(speeds, list)
    assert [each["threads"] for each in speeds] == [1, 2]
    assert all(set(each) == {"threads", *FIGURES} for each in speeds)


def test_bench_coding_measures_speeds_above_nothing(cli: Cli) -> None:
    speeds = cli("bench", "coding", "--n", "10", "--json").json()["speeds"]
    assert isinstance(speeds, list)
    assert all(each[name] > 0 for each in speeds for name in FIGURES)


def test_bench_coding_names_the_kernel_that_is_used_and_the_reason_and_the_others(cli: Cli) -> None:
    chosen = choice()
    arguments = ("bench", "coding", "--n", "10", "--size", "1kB")
    answer = cli(*arguments, "--json").json()
    assert (answer["kernel"], answer["reason"]) == (chosen.kernel.name, chosen.reason)
    assert answer["available"] == list(chosen.available)
    text = cli(*arguments).out.decode()
    assert f"{chosen.kernel.name} ({chosen.reason})" in text
    assert all(name in text for name in chosen.available)
    assert [word for word in ("encode", "verify", "decode", "1 thread", "2 threads") if word not in text] == []


def test_bench_coding_measures_the_kernel_that_the_variable_asks_for(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "reference")
    answer = cli.process("bench", "coding", "--n", "4", "--size", "1kB", "--json").json()
    assert answer["kernel"] == "reference"
    assert VARIABLE in str(answer["reason"])


def test_a_kernel_that_does_not_exist_is_an_error_that_names_those_that_do(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "abacus")
    ended = cli.process("bench", "coding")
    assert (ended.code, ended.out) == (2, b"")
    assert "abacus" in ended.error()
    assert "reference" in ended.error()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--n", "3"), "--n"),
        (("--n", "1001"), "--n"),
        (("--n", "many"), "--n"),
        (("--size", "lots"), "--size"),
        (("--size", "0"), "--size"),
        (("--size", "1MiB", "--n", "4"), "393204"),
        (("--size", "257MB", "--n", "1000"), str(bench.SIZE_BYTES_MAX)),
        (("--size", "9999999PB", "--n", "1000"), str(bench.SIZE_BYTES_MAX)),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(cli: Cli, arguments: tuple[str, ...], told: str) -> None:
    ended = cli("bench", "coding", *arguments)
    assert (ended.code, ended.out) == (2, b"")
    assert told in ended.error()


def test_a_size_that_cannot_be_measured_is_told_to_programs_too(cli: Cli) -> None:
    ended = cli("bench", "coding", "--size", "0", "--json")
    assert (ended.code, ended.out) == (2, b"")
    assert '"exit_code": 2' in ended.err
