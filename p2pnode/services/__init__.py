"""Long-running work, one file per verb: they wait, send, read and log; the rules live in `p2pnode.protocols`."""
