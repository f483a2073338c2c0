"""Stop signals: raised once, or only noted, and handled as before afterwards."""

from __future__ import annotations

import os
import signal

import pytest

from testnet import signals


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_does_not_cut_the_cleaning_short(number: signal.Signals) -> None:
    cleaned = []

    def clean_up_while_impatient() -> None:
        try:
            send(number)
        finally:
            send(number)
            cleaned.append(number)

    with pytest.raises(KeyboardInterrupt), signals.raising():
        clean_up_while_impatient()
    assert cleaned == [number]


def test_a_noted_signal_is_raised_by_the_check_only() -> None:
    with signals.noted() as check:
        check()
        send(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            check()


def test_afterwards_signals_are_handled_as_before() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with signals.noted():
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
