"""Identity keys, peer ids, signatures, hashes and Merkle trees: pure functions over bytes."""
