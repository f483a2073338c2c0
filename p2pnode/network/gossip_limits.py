"""What a peer can make gossip hold, loop over or wait for, and the pace of gossip itself: each with its reason.

One limit stands in `limits.py`, because it belongs to the table of resources there: the streams of a peer.
"""

from __future__ import annotations

from p2pnode.network.limits import KIB, MIB
from wire import limits as wire_limits

HEARTBEAT_S = 1.0
"""The mesh is mended, and what came lately is offered again, once a second: what the GossipSub specification says."""

DEGREE = 6
"""Neighbours that get every message of a topic at once; this and the next three are the specification's."""

DEGREE_LOW = 4
"""Below this many, further neighbours are asked in."""

DEGREE_HIGH = 12
"""Above this many, the worst and some others are asked to leave."""

DEGREE_BEST = 4
"""Of those that stay then, so many are the ones of the best standing: a crowd of newcomers cannot push them out."""

EAGER = 2
"""Of the mesh, so many neighbours, drawn anew for each message, get at once what we pass on; the others are offered its
name at the next heartbeat, unless they have shown by then that they have it. Two reach four fifths of any network, and
the rest ask (ADR 0013). An author tells its whole mesh at once."""

LAZY = 2
"""Peers outside the mesh that are offered the names of recent messages at a heartbeat: over the heartbeats for which a
message is offered it is six, whatever the meshes look like."""

FRAME_BYTES_MAX = wire_limits.GOSSIP_BYTES_MAX + 64 * KIB
"""The longest frame of gossip: the longest message with its names and signature, and room for control beside it. What
we send ourselves is one message, or control, a frame."""

MESSAGES_PER_FRAME_MAX = 512
"""Messages in one frame; parsing a frame with a hundred thousand empty ones takes the loop from others."""

CONTROL_PER_FRAME_MAX = 256
"""Subscriptions, and control entries of each kind, in one frame: several times the topics that there are."""

IDS_PER_FRAME_MAX = 2_048
"""Names of messages in one frame, offered or asked for: twice what a burst puts into the window that is offered."""

FRAME_S = 30.0
"""How long a frame may take from its first byte to its last: 11 KB/s for the longest."""

WRITE_S = 30.0
"""How long a neighbour may take to read what we write before its stream is given up."""

RETRY_FIRST_S = 0.25
"""The pause before a gossip stream that failed is opened again; it doubles."""

RETRY_MAX_S = 30.0
"""The longest such pause: some peers speak no gossip at all."""

PEER_UNITS_PER_S = 400.0
"""What one peer may make us read: a frame and each message in it are a unit, and so is each UNIT_BYTES. Above it
its stream is read no faster, and nothing is lost. In a network of ten thousand members some 20 messages a second come
by; and a neighbour that sends new messages at this rate takes about a twelfth of a core."""

PEER_UNITS_BURST = 4_000.0
"""What it may send at once after a pause: all members of a large network starting together."""

UNIT_BYTES = 4 * KIB
"""Bytes that cost as much as one message: 1.6 MB/s at the rate above."""

CHECKS_PER_S = 1_000.0
"""Messages that are checked, over all peers together: each costs two signatures, together about 0.3 ms, so that gossip
never takes more than about a third of a core, whoever sends it. Peers take turns: one that floods slows itself."""

CHECKS_BURST = 2_000.0
"""Checks in a row after a pause: half a second of the loop, with others let in between."""

SEEN_S = 120.0
"""How long a message is known by its name, at least; records know themselves by their sequence after that."""

SEEN_MAX = 65_536
"""Names of messages in each of the two generations that are remembered: 15 MB when both are full."""

RECENT_HEARTBEATS = 10
"""How long messages are kept for those that ask for them."""

OFFERED_HEARTBEATS = 3
"""How long their names are offered: shorter, so that there is time to ask."""

RECENT_BYTES_MAX = 16 * MIB
"""Bytes of messages kept for those that ask: three hundred full batches of announcements."""

OFFERED_MAX = 1_024
"""Names offered to one peer at a heartbeat."""

ASKED_MAX = 1_024
"""Names asked of one peer in one heartbeat; who offers more is asked again at the next."""

SERVED_PER_HEARTBEAT_MAX = 256
"""Messages sent to one peer in one heartbeat because it asked."""

SERVED_TIMES_MAX = 3
"""How often one peer gets the same message because it asks: after a lost stream, not for the sake of our upload."""

HELD_MAX = 1_024
"""Messages that are held until something is decided on them: as many as newcomers wait for the check of their work. The
records of members have 10 KB at most."""

BACKOFF_S = 60.0
"""How long a peer that was asked to leave a mesh, or left, is not asked in again: what the specification says."""

BACKOFF_MAX_S = 600.0
"""The longest such time that a peer may name."""

BACKOFF_SLACK_S = 2.0
"""A peer whose clock runs faster, or whose word took longer, is not blamed for coming back too early by so much."""

BACKOFFS_MAX = 4_096
"""Peers per topic whose return is too early; four times the connections there may be."""

STANDINGS_MAX = 8_192
"""Peers whose deeds are remembered, also when they are gone: coming back does not wash one clean."""

QUEUE_MESSAGES_MAX = 256
"""Frames that wait for one neighbour before messages to it are dropped; it is told their names when it has caught up.
py-libp2p's 32 do not hold one burst."""

QUEUE_BYTES_MAX = 4 * MIB
"""Bytes that wait for one neighbour; neighbours share the bytes of a message."""

WRITE_BYTES = 64 * KIB
"""Short frames are written together up to this length."""

PUBLISH_S = 2.0
"""How long publishing may wait for slow peers before it goes on without them."""

REPORT_S = 60.0
"""What had to be dropped is logged this often."""
