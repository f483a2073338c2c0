"""Claims about the counts of what was refused."""

from __future__ import annotations

from p2pnode.membership.refusals import Refusals, Refused


def test_reasons_are_counted_and_told_in_their_order_and_what_never_happened_is_left_out() -> None:
    refusals = Refusals()
    assert refusals.counts() == {}
    refusals.count(Refused.CROWDED)
    refusals.count(Refused.BAD_RECORD, 2)
    refusals.count(Refused.CROWDED)
    assert list(refusals.counts().items()) == [("bad record", 2), ("too many of one network", 2)]
