"""Interoperability with js-libp2p: run by `make interop`, because it needs Node."""
