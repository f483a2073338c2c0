"""The pinned py-libp2p: its version, and the private names that we depend on."""

from __future__ import annotations

import logging
import re
from importlib import metadata
from pathlib import Path

import libp2p.kad_dht
import pytest

from p2pnode.network import libp2p_patches
from p2pnode.network.libp2p_patches import (
    KAD_MODULES,
    KAD_PROTOCOL,
    WrongVersionError,
    check_version,
    kad_protocol_copies,
    quieten_logging,
)


def test_the_pinned_version_is_0_8_1_and_installed() -> None:
    assert libp2p_patches.PINNED_VERSION == "0.8.1"
    assert metadata.version("libp2p") == "0.8.1"
    check_version()


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _name: "0.9.0")
    with pytest.raises(WrongVersionError, match=r"0\.9\.0 .* examined with 0\.8\.1"):
        check_version()


def test_the_dht_has_one_name_and_no_new_module_carries_it() -> None:
    assert set(kad_protocol_copies().values()) == {KAD_PROTOCOL} == {"/ipfs/kad/1.0.0"}
    files = [path for path in Path(libp2p.kad_dht.__file__).parent.glob("*.py") if path.stem != "__init__"]
    carriers = {path.stem for path in files if re.search(r"\bPROTOCOL_ID\b", path.read_text())}
    assert carriers - {"routing_table"} == set(KAD_MODULES)  # That one only looks into what identify stored.


def test_only_our_libp2p_files_import_libp2p() -> None:
    package = Path(libp2p_patches.__file__).parents[1]
    importers = [
        path.name
        for path in package.rglob("*.py")
        if re.search(r"^\s*(from|import) libp2p\b", path.read_text(), re.MULTILINE)
    ]
    assert importers
    assert all(name.startswith("libp2p_") for name in importers)


def test_expected_ends_of_connections_are_not_logged_by_libp2p() -> None:
    quieten_logging()
    assert not logging.getLogger("libp2p.pubsub.gossipsub").isEnabledFor(logging.ERROR)
