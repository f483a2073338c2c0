"""Claims about successions: both keys agree, nobody else is in it, and what is kept of them is read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from p2pnode.errors import PeerFaultError
from p2pnode.protocols.catalogue import catalogue_key
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.successions import (
    SUCCESSORS_MAX,
    Predecessor,
    check_succession,
    is_too_late,
    kept_until,
    line_to,
    make_succession,
    open_answer,
    open_succession,
    predecessors_from_fields,
    predecessors_to_fields,
)
from tests.factories import NETWORK, TIME, key, lease, public_key, signed
from wire import limits
from wire.errors import WireError
from wire.messages import RefusalCode
from wire.ownership import Succession
from wire.records import Envelope
from wire.signed import Signed, sign_record

OLD, NEW, STRANGER = 1, 2, 3


def succession(old: int = OLD, new: int = NEW, *, time: int = TIME) -> Signed[Succession]:
    return make_succession(key(old), key(new), time=time, network=NETWORK)


def predecessor(old: int, new: int) -> Predecessor:
    return Predecessor(succession=succession(old, new), catalogue_key=catalogue_key(key(old)))


def by(signer: int, record: Succession) -> Envelope:
    return sign_record(record, key=key(signer), network=NETWORK).envelope


def test_a_succession_that_both_keys_signed_opens() -> None:
    made = succession()
    assert open_succession(made.envelope, network=NETWORK) == made
    assert (made.record.predecessor, made.record.successor) == (public_key(OLD), public_key(NEW))
    assert check_succession(made.envelope, network=NETWORK, wall=TIME) == made


def without_consent() -> Envelope:
    return by(OLD, replace(succession().record, consent=None))


def with_anothers_consent() -> Envelope:
    record = replace(succession().record, consent=None)
    return by(OLD, replace(record, consent=by(STRANGER, record)))


def signed_by_a_stranger() -> Envelope:
    return by(STRANGER, succession().record)


def with_consent_to_another_time() -> Envelope:
    return by(OLD, replace(succession().record, time=TIME + 1))


def of_itself() -> Envelope:
    return succession(OLD, OLD).envelope


def with_a_consent_inside_the_consent() -> Envelope:
    whole = succession().record
    return by(OLD, replace(whole, consent=by(NEW, whole)))


FORGERIES: tuple[Callable[[], Envelope], ...] = (
    without_consent,
    with_anothers_consent,
    signed_by_a_stranger,
    with_consent_to_another_time,
    of_itself,
    with_a_consent_inside_the_consent,
)


@pytest.mark.parametrize("forged", FORGERIES, ids=lambda forged: forged.__name__)
def test_a_succession_without_the_consent_of_both_never_counts(forged: Callable[[], Envelope]) -> None:
    with pytest.raises(WireError):
        open_succession(forged(), network=NETWORK)
    with pytest.raises(RefusalError) as refused:
        check_succession(forged(), network=NETWORK, wall=TIME)
    assert refused.value.code == RefusalCode.INVALID
    with pytest.raises(PeerFaultError):
        open_answer(forged(), owner=public_key(OLD), network=NETWORK)


def test_a_succession_of_another_network_never_counts() -> None:
    with pytest.raises(RefusalError):
        check_succession(succession().envelope, network="another", wall=TIME)


def test_a_succession_from_the_future_is_refused() -> None:
    late = succession(time=TIME + limits.CLOCK_SKEW_SECONDS + 1)
    with pytest.raises(RefusalError, match="in the future") as refused:
        check_succession(late.envelope, network=NETWORK, wall=TIME)
    assert refused.value.code == RefusalCode.LEASE
    check_succession(late.envelope, network=NETWORK, wall=TIME + 1)


def test_an_answer_is_about_the_owner_that_was_asked_for() -> None:
    made = succession()
    assert open_answer(None, owner=public_key(OLD), network=NETWORK) is None
    assert open_answer(made.envelope, owner=public_key(OLD), network=NETWORK) == made
    with pytest.raises(PeerFaultError, match="another owner"):
        open_answer(made.envelope, owner=public_key(NEW), network=NETWORK)


def test_a_lease_of_the_predecessor_counts_that_began_before() -> None:
    made = succession()
    assert not is_too_late(signed(lease(start=TIME), key(OLD)), made)
    assert is_too_late(signed(lease(start=TIME + 1), key(OLD)), made)


def test_a_succession_is_kept_for_as_long_as_a_lease_that_counts_can_run() -> None:
    assert kept_until(succession()) >= TIME + limits.LEASE_SECONDS_MAX


def test_the_line_to_a_key_has_its_predecessors_in_order_and_nothing_else() -> None:
    first, second, stray = predecessor(1, 2), predecessor(2, 3), predecessor(7, 8)
    assert line_to(public_key(3), [stray, second, first]) == (first, second)
    assert line_to(public_key(2), [first, second]) == (first,)
    assert line_to(public_key(1), [first, second]) == ()
    assert line_to(public_key(1), [predecessor(1, 2), predecessor(2, 1)]) == (predecessor(1, 2), predecessor(2, 1))


def test_predecessors_come_back_as_they_were() -> None:
    both = (predecessor(1, 2), predecessor(2, 3))
    assert predecessors_from_fields(predecessors_to_fields(both), network=NETWORK) == both
    assert both[0].key == public_key(1)


@pytest.mark.parametrize(
    "fields",
    [
        "text",
        ["text"],
        [{}],
        [{"succession": "00"}],
        [{"succession": "zz", "catalogue_key": "00" * 32}],
        [{"succession": "00", "catalogue_key": "00" * 32}],
        [{**predecessors_to_fields([predecessor(1, 2)])[0], "catalogue_key": "00" * 31}],
        [{**predecessors_to_fields([predecessor(1, 2)])[0], "more": "fields"}],
        [{"succession": "", "catalogue_key": 5}],
        predecessors_to_fields([predecessor(1, 2)] * (SUCCESSORS_MAX + 1)),
    ],
)
def test_damaged_predecessors_are_refused(fields: object) -> None:
    with pytest.raises(WireError):
        predecessors_from_fields(fields, network=NETWORK)


def test_predecessors_of_another_network_are_refused() -> None:
    with pytest.raises(WireError, match="damaged"):
        predecessors_from_fields(predecessors_to_fields([predecessor(1, 2)]), network="another")
