"""Claims about backups of keys: the passphrase opens them whole, and whatever is wrong is one error that says so."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import replace

import pytest

from crypto.sealing import NONCE_BYTES, SALT_BYTES, seal_with_passphrase
from p2pnode.protocols.backup import BACKUP_BYTES_MAX, HEADER, Backup, BadBackupError, open_backup, seal_backup
from p2pnode.protocols.catalogue import catalogue_key
from p2pnode.protocols.successions import Predecessor, make_succession
from tests.factories import TIME, key, owner_key

QUICK = 2
BACKUP = Backup(
    identity=key(1),
    owner=owner_key(),
    network="main",
    profile="home",
    bootstrap=("/ip4/192.0.2.7/tcp/4710/p2p/12D3KooW",),
    secret="p2pnode-secret",
)


def sealed(rng: random.Random, backup: Backup = BACKUP) -> str:
    salt, nonce = rng.randbytes(SALT_BYTES), rng.randbytes(NONCE_BYTES)
    return seal_backup(backup, "word", salt=salt, nonce=nonce, log2_n=QUICK)


def sealed_json(rng: random.Random, value: object) -> str:
    salt, nonce = rng.randbytes(SALT_BYTES), rng.randbytes(NONCE_BYTES)
    data = json.dumps(value).encode()
    inner = seal_with_passphrase("word", data, salt=salt, nonce=nonce, context=HEADER.encode(), log2_n=QUICK)
    return f"{HEADER}\n{base64.b64encode(inner).decode()}\n"


ROTATED = replace(
    BACKUP,
    predecessors=(
        Predecessor(
            succession=make_succession(key(5), owner_key(), time=TIME, network="main"),
            catalogue_key=catalogue_key(key(5)),
        ),
    ),
)


@pytest.mark.parametrize("backup", [BACKUP, ROTATED, replace(BACKUP, bootstrap=(), secret=None)])
def test_a_backup_opens_with_its_passphrase_as_it_was_made(rng: random.Random, backup: Backup) -> None:
    text = sealed(rng, backup)
    assert open_backup(text, "word") == backup
    assert open_backup(text.replace("\n", "\r\n"), "word") == backup
    assert backup.owner.seed.hex() not in text


def test_a_wrong_passphrase_opens_nothing(rng: random.Random) -> None:
    with pytest.raises(BadBackupError, match="passphrase"):
        open_backup(sealed(rng), "another word")


def test_any_other_text_is_one_error(rng: random.Random) -> None:
    with pytest.raises(BadBackupError, match="not a backup"):
        open_backup("something else", "word")
    with pytest.raises(BadBackupError, match="not a backup"):
        open_backup(HEADER + "\n" + "A" * BACKUP_BYTES_MAX, "word")
    with pytest.raises(BadBackupError, match="damaged"):
        open_backup(f"{HEADER}\nno base64!", "word")
    with pytest.raises(BadBackupError, match="too few"):
        open_backup(f"{HEADER}\nAAAA", "word")
    changed = sealed(rng).replace("\n", "\nA", 1)
    with pytest.raises(BadBackupError):
        open_backup(changed, "word")


FIELDS: dict[str, object] = {
    "identity": "00" * 32,
    "owner": "00" * 32,
    "network": "main",
    "profile": "home",
    "bootstrap": [],
    "secret": None,
}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ([], "other fields"),
        (FIELDS | {"predecessors": 3}, "damaged"),
        (FIELDS | {"secret": 3}, "other fields"),
        (FIELDS | {"owner": "zz"}, "damaged"),
        (FIELDS | {"owner": "00"}, "damaged"),
    ],
)
def test_what_a_later_version_sealed_is_said_to_be_that(rng: random.Random, fields: object, says: str) -> None:
    with pytest.raises(BadBackupError, match=says):
        open_backup(sealed_json(rng, fields), "word")


def test_a_backup_of_before_there_were_rotations_opens(rng: random.Random) -> None:
    assert open_backup(sealed_json(rng, FIELDS), "word").predecessors == ()
