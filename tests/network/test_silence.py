"""Silence: what counts against a peer, and what is our own absence."""

from __future__ import annotations

from p2pnode.network.silence import Silence

EVERY_S = 2.0


def test_the_silence_of_a_peer_that_is_looked_at_in_time_is_all_counted() -> None:
    silence = Silence(every_s=EVERY_S, now=0.0)
    assert [silence.look(now=now, last_arrival=0.0) for now in (2.0, 4.0, 7.5)] == [2.0, 4.0, 7.5]


def test_a_minute_in_which_we_did_not_run_is_not_counted() -> None:
    silence = Silence(every_s=EVERY_S, now=0.0)
    assert silence.look(now=2.0, last_arrival=0.0) == 2.0
    assert silence.look(now=62.0, last_arrival=0.0) == 2.0 + 2 * EVERY_S
    assert silence.look(now=64.0, last_arrival=0.0) == 4.0 + 2 * EVERY_S


def test_after_bytes_have_come_an_earlier_absence_excuses_nothing() -> None:
    silence = Silence(every_s=EVERY_S, now=0.0)
    silence.look(now=60.0, last_arrival=0.0)
    assert silence.look(now=62.0, last_arrival=61.0) == 1.0
    assert silence.look(now=64.0, last_arrival=61.0) == 3.0


def test_an_absence_right_after_bytes_have_come_is_not_counted_either() -> None:
    silence = Silence(every_s=EVERY_S, now=0.0)
    assert silence.look(now=61.0, last_arrival=1.0) == 2 * EVERY_S


def test_bytes_that_came_with_the_end_of_an_absence_are_the_news_they_are() -> None:
    silence = Silence(every_s=EVERY_S, now=0.0)
    assert silence.look(now=60.0, last_arrival=59.0) == 1.0
