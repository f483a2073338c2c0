"""What crosses the network: ids, limits, records, messages, codec and framing. Pure values and functions."""
