"""The addresses at which a member was reached."""

from __future__ import annotations

from p2pnode.membership.contact import WORKED_ADDRESSES_MAX, with_address


def test_the_latest_address_comes_first_and_each_is_there_once() -> None:
    worked: tuple[str, ...] = ()
    for address in ("a", "b", "b", "a", ""):
        worked = with_address(worked, address)
    assert worked == ("a", "b")
    for number in range(2 * WORKED_ADDRESSES_MAX):
        worked = with_address(worked, str(number))
    assert worked == tuple(str(number) for number in reversed(range(WORKED_ADDRESSES_MAX, 2 * WORKED_ADDRESSES_MAX)))
