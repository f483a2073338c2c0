"""The one error of this package."""


class WireError(ValueError):
    """Bytes from outside are not what the format says; the message names the field and what came."""
