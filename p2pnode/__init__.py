"""One node of the storage network: the pure decisions and the thin shells around them."""

__version__ = "0.1.0"
