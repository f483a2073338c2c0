"""What a peer can make the network layer hold, loop over or wait for: each limit with its reason."""

from __future__ import annotations

from wire import limits as wire_limits

KIB = 1024
MIB = 1024 * KIB

CONNECTIONS_MAX = 1_024
"""Open connections; each costs a socket, three tasks and about 100 KB. More members than this are reached in turns."""

CONNECTIONS_PER_PEER_MAX = 4
"""Two sides that dial each other at once make two; two more leave room for a dead one that is not noticed yet."""

HANDSHAKES_MAX = 128
"""Inbound connections that have not proven who they are: a stranger costs a socket and some curve arithmetic each."""

HANDSHAKE_S = 10.0
"""How long an inbound connection may take to prove who it is; honest ones need a few round trips."""

LISTEN_BACKLOG = 128
"""Connections that the system holds until we accept them: a burst of honest ones while the loop is busy."""

DIALS_MAX = 32
"""Dials under way at a time, over all peers."""

DIAL_STAGGER_S = 0.25
"""How long one address has the field to itself before the next is tried beside it."""

ADDRESSES_KEPT_MAX = wire_limits.ADDRESSES_MAX
"""Addresses remembered for a peer: as many as its member record may name."""

PEERS_WITH_ADDRESSES_MAX = wire_limits.MEMBERS_KEPT_MAX
"""Peers whose addresses are remembered: as many as there may be members in memory."""

INBOUND_STREAMS_PER_PEER_MAX = 64
"""Streams that one peer may hold open to us: four times the requests that an honest one has under way."""

INBOUND_STREAMS_MAX = 2_048
"""Inbound streams in all: some tens of peers at their own limit; a stream without data costs about 10 KB."""

OUTBOUND_STREAMS_PER_PEER_MAX = 64
"""The mirror of the inbound limit: a stream above it would be reset by the other side anyway."""

STREAMS_PER_CONNECTION_MAX = 512
"""Streams of one connection that are not over on both sides, those that only wait for the peer's end included."""

NEGOTIATION_S = 10.0
"""How long naming a stream's protocol may take."""

NEGOTIATION_LINE_BYTES_MAX = 1_024
"""The longest line of a negotiation; our longest protocol id has about 120 characters."""

NEGOTIATION_ROUNDS_MAX = 16
"""Proposals that are answered on one stream; libp2p's own protocols offer at most six versions."""

STREAM_WINDOW_INITIAL_BYTES = 256 * KIB
"""Unread bytes that a new stream may pile up here; the number is part of the yamux format."""

STREAM_WINDOW_BYTES = 1 * MIB
"""The window after half of the initial one was read: 20 MB/s at a round trip of 50 ms. Streams that only carry control
messages never get it."""

CONTROL_BYTES_MAX = 32 * KIB
"""Control frames that wait for a stuck connection (12 bytes each); more means that the peer floods us with pings."""

WRITE_STALL_S = 15.0
"""A connection whose socket takes no byte for so long is dead."""

SOCKET_WRITE_BYTES = 64 * KIB
"""What one write deadline covers: a link of 4 KB/s still makes it, and it is below what is waited for anyway."""

WRITE_QUEUE_BYTES_MAX = 256 * KIB
"""Bytes that wait for a connection's socket before the streams on it have to wait."""

SOCKET_READ_BYTES = 256 * KIB
"""Bytes asked of the socket at once: one call for several sealed messages."""

LINGER_S = 10.0
"""How long a stream that we ended waits for the peer's end before it is reset: else a peer could make us keep it."""

SILENT_PINGS = 3
"""A connection on which nothing came for this many ping intervals is dead (24 s with the default of 8 s)."""

SHUTDOWN_S = 1.0
"""How long a clean stop may take before sockets are closed by force."""

FOREIGN_STREAM_S = 30.0
"""How long an inbound stream of libp2p's own short protocols (identify, DHT) may live: theirs have no deadline."""

IDENTIFY_BYTES_MAX = 16 * KIB
"""An identify message: some addresses, some protocol names, a key."""

FIND_PEER_S = 10.0
"""How long a look-up in the DHT may take."""

DHT_REFRESH_S = 300.0
"""How often the routing table looks around."""

DHT_FIRST_REFRESH_S = 1.0
"""How long after the first connection the routing table looks around for the first time."""

DHT_STREAM_BYTES_MAX = 64 * KIB
"""Bytes read of one inbound DHT stream: some tens of questions. py-libp2p reads messages of 4 MiB and takes seconds of
the event loop to parse the half a million addresses that fit into one."""

DHT_STREAMS_PER_PEER_MAX = 4
"""Inbound DHT streams of one peer: py-libp2p serves twelve in all, and resets further ones."""

DHT_WAIT_S = 5.0
"""How long a peer may hold a DHT stream without saying anything: each holds one of the twelve."""

FIND_PROVIDERS_S = 10.0
"""How long asking who provides something may take, and telling others that we do."""

PROVIDER_RECORDS_MAX = 16_384
"""Provider records that are kept for others; with eight addresses each they cost about 20 MB."""

PROVIDER_RECORDS_PER_PEER_MAX = 512
"""Keys that one peer may have recorded here: one for each bucket of id prefixes, and as many again."""

PROVIDERS_PER_KEY_MAX = 20
"""Providers of one key: what the DHT's specification keeps, and more than anybody asks before one of them answers."""

PROVIDER_RECORD_S = 48 * 3600.0
"""How long a provider record lives unless it is renewed: what the DHT's specification says."""

PING_STREAMS_PER_PEER_MAX = 2
"""Ping streams of one peer: what the specification of ping asks for."""

PING_WAIT_S = 10.0
"""How long the next ping on a stream may take; who wants to ping later opens another."""

PING_BURST = 16
"""Pings on a stream that are answered at once; a measurement needs some, not thousands."""

PING_PAUSE_S = 0.1
"""The pause after each further ping, so that pings at line rate cost nothing."""

GOSSIP_HEARTBEAT_S = 1
"""The mesh is mended once a second, as other libp2p implementations do; py-libp2p would wait for two minutes."""

GOSSIP_MESSAGES_PER_S = 1_000.0
"""Messages per topic and peer above which gossip is dropped. py-libp2p's 10 lose honest records silently when many
members start at once; a thousand checked signatures a second are what one core can bear."""

GOSSIP_QUEUE_MESSAGES_MAX = 256
"""Messages that wait for one neighbour before further ones to it are dropped; py-libp2p's 32 do not hold one burst."""

GOSSIP_QUEUE_CHECK_S = 0.02
"""How often a publisher that is ahead of its neighbours looks whether they have caught up."""

GOSSIP_PUBLISH_S = 2.0
"""How long publishing may wait for slow peers before it goes on without them."""

REQUESTS_PER_PEER_MAX = 16
"""Requests under way to one peer; more would only queue in its connection."""

REQUESTS_MAX = 256
"""Requests under way in all; a put to 100 holders with two segments in flight needs 200."""

IDLE_STREAMS_PER_PEER_MAX = 4
"""Streams kept open for the next request, per peer."""

IDLE_STREAMS_MAX = 512
"""Streams kept open for the next request, in all."""

IDLE_STREAM_S = 45.0
"""How long a stream is kept for the next request: shorter than the server waits, so that it seldom meets a dead one."""

SERVER_IDLE_S = 60.0
"""How long a server waits for the next request on a stream."""

PAYLOAD_BYTES_IN_MEMORY_MAX = 64 * MIB
"""Payload bytes of requests being served, read or answered, over all peers."""

PAYLOAD_BYTES_PER_PEER_MAX = PAYLOAD_BYTES_IN_MEMORY_MAX // 4
"""The share of it that one peer may take, so that one that reads slowly cannot hold up all others."""

TRANSFER_GRACE_S = 10.0
"""What a transfer may take beside the time that its bytes need at the slowest speed that is waited for."""

RESET_S = 1.0
"""How long cleaning up after a failed request may take."""

PAYLOAD_WAIT_S = 15.0
"""How long a request waits for payload memory before its stream is reset; below what a client waits for."""
