"""Names on the wire: two networks, versions or sets of shared parameters have no name in common."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from wire import limits, protocol_ids
from wire.errors import WireError
from wire.protocol_ids import NetworkNames, SharedParameters

NAMES = factories.network_names()
NETWORK = st.text("abcXYZ019.-", min_size=1, max_size=limits.NETWORK_NAME_CHARS_MAX)


def test_the_names_of_a_network_are_these() -> None:
    assert NAMES.parameter_hash == "9daba7f363127a2a"
    assert NAMES.protocol("store") == "/p2pnode/test/1/9daba7f363127a2a/store"
    assert NAMES.topic("members") == "p2pnode/test/1/9daba7f363127a2a/members"
    assert NAMES.topic("announcements", bucket="a") == "p2pnode/test/1/9daba7f363127a2a/announcements/a"


@pytest.mark.parametrize("field", [field.name for field in fields(SharedParameters)])
def test_every_shared_parameter_changes_every_name(field: str) -> None:
    value = getattr(NAMES.parameters, field)
    changed: dict[str, object] = {field: f"{value}!" if isinstance(value, str) else value + 1}
    other = NetworkNames(NAMES.network, replace(NAMES.parameters, **changed))  # type: ignore[arg-type] # by its name
    assert other.parameter_hash != NAMES.parameter_hash
    assert other.protocol("store") != NAMES.protocol("store")
    assert other.topic("members") != NAMES.topic("members")


def test_the_version_changes_every_name(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol, topic = NAMES.protocol("store"), NAMES.topic("members")
    monkeypatch.setattr(protocol_ids, "PROTOCOL_VERSION", protocol_ids.PROTOCOL_VERSION + 1)
    assert NAMES.protocol("store") != protocol
    assert NAMES.topic("members") != topic


@given(NETWORK, NETWORK, st.sampled_from(["store", "read"]), st.sampled_from(["store", "read"]))
def test_two_networks_share_no_name(first: str, second: str, one: str, other: str) -> None:
    ours, theirs = factories.network_names(first), factories.network_names(second)
    if (first, one) != (second, other):
        assert ours.protocol(one) != theirs.protocol(other)
        assert ours.topic(one) != theirs.topic(other)


ODD = {
    "empty": "",
    "slash": "test/1/9daba7f363127a2a/store",
    "space": "my network",
    "underscore": "my_network",
    "line break": "test\n",
    "not ASCII": "büro",
    "letters of another alphabet": "тест",
    "NUL": "te\0st",
    "half of a surrogate pair": "\ud800",
    "too long": "a" * (limits.NETWORK_NAME_CHARS_MAX + 1),
}


@pytest.mark.parametrize("network", ODD.values(), ids=ODD)
def test_a_name_with_odd_characters_is_refused(network: str) -> None:
    with pytest.raises(WireError, match="a network's name has 1 to 64 letters"):
        factories.network_names(network)


@pytest.mark.parametrize("network", ["a", "home", "test-1234", "my-net.v2", "A" * limits.NETWORK_NAME_CHARS_MAX])
def test_an_ordinary_name_is_taken(network: str) -> None:
    assert factories.network_names(network).protocol("read").split("/")[2] == network
