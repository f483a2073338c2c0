"""Tracebacks that a node logs: its outermost loops catch everything, so that is where its faults come to light."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from testnet.fuzz.target import BrokenPromiseError

_LOGGER = "p2pnode"


class Watch(logging.Handler):
    """Notes the first error that is logged with a traceback."""

    def __init__(self) -> None:
        """Nothing was logged."""
        super().__init__(logging.ERROR)
        self.error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first."""
        if record.exc_info and self.error is None:
            self.error = record.exc_info[1]

    def raise_what_was_logged(self) -> None:
        """Raise `BrokenPromiseError` from what was logged since the last call, if anything was."""
        error, self.error = self.error, None
        if error is not None:
            raise BrokenPromiseError(f"the node logged {type(error).__name__}: {error}") from error


@contextmanager
def watched() -> Iterator[Watch]:
    """Watch this program's log for the length of a block; nothing of it is shown."""
    logger, watch = logging.getLogger(_LOGGER), Watch()
    level, disabled, propagate = logger.level, logging.root.manager.disable, logger.propagate
    logging.disable(logging.NOTSET)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    logger.addHandler(watch)
    try:
        yield watch
    finally:
        logger.removeHandler(watch)
        logger.setLevel(level)
        logger.propagate = propagate
        logging.disable(disabled)
