"""How long the router is waited for, and how its port mappings are kept: each number with its reason."""

from __future__ import annotations

ROUTER_S = 20.0
"""How long asking the router to open a port may take, with looking for it."""

ROUTER_CLOSE_S = 1.0
"""How long giving a port back at the stop may take; after that the mapping runs out by itself."""

MAPPING_LIFETIME_S = 3600
"""How long a router keeps a port open unless we renew it: what a crash leaves behind."""

MAPPING_RENEW_FACTOR = 0.5
"""The part of its lifetime after which a mapping is renewed; it also finds a router that started anew."""

MAPPING_RETRY_S = 600.0
"""How soon a router that refused or did not answer is asked again."""

MAPPING_LOOK_S = 5.0
"""How often it is looked at whether our address in the local network is still the same."""

EXTERNAL_PORTS_TRIED_MAX = 5
"""Outer ports tried with UPnP when one is taken by another machine behind the same router."""

NAT_PMP_TRIES = 4
"""Datagrams to a router that does not answer; each waits twice as long as the one before, 3.75 s in all."""

NAT_PMP_FIRST_WAIT_S = 0.25
"""How long the answer to the first of them may take (RFC 6886)."""

UPNP_DISCOVER_MS = 2_000
"""How long UPnP routers may take to make themselves known."""
