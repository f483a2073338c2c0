"""Another owner key in a home: a new one that succeeds the old, or the one that has succeeded it elsewhere.

The earlier keys are written first, then the key itself, each in one atomic step: what is cut short between the two
leaves the old key, and earlier keys that do not lead to it, which are not believed. So it is done anew.
"""

from __future__ import annotations

import dataclasses

from crypto.keys import KeyPurpose, SigningKey, key_to_text
from p2pnode.errors import CallerError, HomeError
from p2pnode.protocols.catalogue import catalogue_key
from p2pnode.protocols.successions import SUCCESSORS_MAX, Predecessor, line_to, make_succession
from p2pnode.storage.home import OWNER_FILE, PREDECESSORS_FILE, Home
from p2pnode.storage.homefile import replace_file
from p2pnode.storage.predecessorsfile import predecessors_to_text
from wire.ids import PublicKey

_MODE = 0o600


def rotate_owner(home: Home, successor: SigningKey, *, time: int) -> Home:
    """Put a new key in the place of a home's owner key; `time` in seconds since 1970.

    Raises `HomeError`, and `CallerError` after SUCCESSORS_MAX keys. Call it under the home's lock.
    """
    if len(home.predecessors) >= SUCCESSORS_MAX:
        message = f"this owner has had {SUCCESSORS_MAX} keys before, no more are followed: begin with a new home"
        raise CallerError(message)
    succession = make_succession(home.owner, successor, time=time, network=home.settings.network)
    latest = Predecessor(succession=succession, catalogue_key=catalogue_key(home.owner))
    return _replace(home, successor, (*home.predecessors, latest))


def take_over_owner(home: Home, successor: SigningKey, predecessors: tuple[Predecessor, ...]) -> Home:
    """Put the key in the place of a home's owner key that has succeeded it, as a backup says.

    Raises `HomeError`, and `CallerError` when that key has not succeeded this one. Call it under the home's lock.
    """
    line = line_to(PublicKey(successor.public), predecessors)
    if not any(each.key == home.owner.public for each in line):
        message = (
            "the owner key in the backup has not succeeded the one of this home: make the backup where that was"
            " rotated, or make another home with 'p2pnode id import'"
        )
        raise CallerError(message)
    return _replace(home, successor, line)


def _replace(home: Home, successor: SigningKey, predecessors: tuple[Predecessor, ...]) -> Home:
    try:
        replace_file(home.path, PREDECESSORS_FILE, predecessors_to_text(predecessors), mode=_MODE)
        replace_file(home.path, OWNER_FILE, key_to_text(successor, KeyPurpose.OWNER), mode=_MODE)
    except OSError as error:
        message = f"cannot write the owner key in {home.path}: {error.strerror or error}; the old one stays"
        raise HomeError(message) from error
    return dataclasses.replace(home, owner=successor, predecessors=predecessors)
