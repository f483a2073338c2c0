"""The disk: sliver pairs, signed records, the index beside them, and a node's home directory."""
