"""The outside world over the wire: the libp2p implementation of `Network`, and requests over any `Network`."""
