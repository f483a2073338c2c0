"""The daemon's HTTP API on this machine: a thin face over the node. `docs/HTTP_API.md` describes it for programs."""
