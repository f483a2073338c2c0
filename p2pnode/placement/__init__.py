"""Who keeps which shard: weighted rendezvous hashing over inputs that all members share, and the choice of n."""
