"""Work in several processes: in order, in fresh ones, and without waiting for ever for one that died."""

from __future__ import annotations

import os
import signal
from concurrent.futures.process import BrokenProcessPool

import pytest

from testnet import spread as spread_module
from testnet.spread import spread, twice


def double(number: int) -> int:
    return 2 * number


def process_of(_number: int) -> int:
    return os.getpid()


def die(_number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_results_come_in_the_order_of_the_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread_module, "TASKS_PER_PROCESS", 3)
    assert list(spread(double, range(10), processes=2)) == [2 * number for number in range(10)]


def test_processes_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread_module, "TASKS_PER_PROCESS", 1)
    assert len(set(spread(process_of, range(4), processes=2))) > 2


def test_twice_gives_each_item_to_two_processes() -> None:
    pairs = list(twice(process_of, process_of, range(4), processes=2))
    assert len(pairs) == 4
    assert {one for one, _ in pairs}.isdisjoint({other for _, other in pairs})


def test_each_function_has_every_item() -> None:
    assert list(twice(double, str, range(3), processes=2)) == [(0, "0"), (2, "1"), (4, "2")]


def test_a_process_that_dies_is_an_error_and_no_endless_wait() -> None:
    with pytest.raises(BrokenProcessPool):
        list(spread(die, range(3), processes=2))
