"""Saying no: the one error that a holder's checks raise, and the message that tells the asker."""

from __future__ import annotations

from wire import limits
from wire.messages import RefusalCode, Refused


class RefusalError(Exception):
    """A request that is not done; `code` and the text go to the asker."""

    def __init__(self, code: RefusalCode, reason: str) -> None:
        """Keep the code beside the text."""
        super().__init__(reason)
        self.code = code
        self.reason = reason

    def answer(self) -> Refused:
        """Return the message; the text is cut to one printable line."""
        printable = "".join(each if each.isprintable() else " " for each in self.reason)
        return Refused(code=self.code, reason=printable[: limits.TEXT_CHARS_MAX])
