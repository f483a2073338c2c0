"""Tests of the network: the parts of the wire one by one, the libp2p adapter over loopback, and requests."""
