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

RESOLVE_S = 5.0
"""How long looking up a host name of our own may take."""

FIND_PEER_S = 10.0
"""How long a look-up in the DHT may take."""

DHT_REFRESH_S = 300.0
"""How often the routing table looks around."""

DHT_FIRST_REFRESH_S = 1.0
"""How long after the first connection the routing table looks around for the first time."""

DHT_MEMBERS_ADDED_MAX = 64
"""Members that are put into the routing table at each look around, because we have their records: three buckets' worth.
Those that do not answer leave it again."""

DHT_ENTRIES_TRIED_MAX = 8
"""Entries of the routing table without a connection that are dialled at each look around, to see whether they live."""

ADDRESS_CHECK_S = 10.0
"""How often we look which addresses this machine has: a change is told to everybody within this time. It costs two
system calls."""

LAN_TEXT_BYTES_MAX = 2_048
"""What is read of a text record from the local network; a node with LAN_ADDRESSES_MAX addresses has 500 bytes."""

LAN_ADDRESSES_MAX = 3
"""Addresses of one node that are announced and taken on a local network: one a network card, and IPv6."""

LAN_HEARD_MAX = 64
"""Services on the local network that wait to be looked at; on a hostile one the oldest makes room."""

LAN_PAUSE_S = 1.0
"""The pause after each look at a service of the local network: so fast may strangers there make us dial."""

LAN_ASK_S = 1.0
"""How long asking a service of the local network for its text record may take."""

LAN_OPEN_S = 5.0
"""How long starting discovery on the local network may take; it needs one second."""

LAN_RETRY_S = 60.0
"""The pause after discovery on the local network failed, or while there is no address to announce."""

LAN_CLOSE_S = 2.0
"""How long saying goodbye on the local network may take."""

BOOTSTRAP_ERRORS_MAX = 256
"""Bootstrap addresses whose last failure is remembered, so that it is logged once."""

DHT_STREAM_BYTES_MAX = 64 * KIB
"""Bytes read of one inbound DHT stream: some tens of questions. py-libp2p reads messages of 4 MiB and takes seconds of
the event loop to parse the half a million addresses that fit into one."""

DHT_STREAMS_MAX = 128
"""Inbound DHT streams in all; further ones are reset. py-libp2p's twelve could be held by one peer."""

DHT_STREAMS_PER_PEER_MAX = 16
"""Inbound DHT streams of one peer: an honest one that refreshes its routing table asks for several targets at once."""

DHT_WAIT_S = 5.0
"""How long a peer may hold a DHT stream without saying anything."""

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

PING_STREAMS_PER_PEER_MAX = 4
"""Ping streams of one peer: the two that the specification of ping asks for, and two that it has ended while we do not
know yet. js-libp2p drops the connection when a ping is refused."""

PING_WAIT_S = 10.0
"""How long the next ping on a stream may take; who wants to ping later opens another."""

PING_BURST = 16
"""Pings on a stream that are answered at once; a measurement needs some, not thousands."""

PING_PAUSE_S = 0.1
"""The pause after each further ping, so that pings at line rate cost nothing."""

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

RELAY_RESERVATIONS_MAX = 64
"""Peers that may be reached through us: as a relay we keep a connection to each anyway."""

RELAY_RESERVATIONS_PER_PREFIX_MAX = 8
"""Reservations from one network, so that one operator cannot take all of them."""

RELAY_RESERVATION_S = 3600.0
"""How long a reservation lasts; it is renewed at half of that, and ends with its connection."""

RELAY_CIRCUITS_MAX = 256
"""Circuits through us at a time: two streams, and up to 512 KB of what their readers are too slow for."""

RELAY_CIRCUITS_FROM_PEER_MAX = 8
"""Circuits that one peer may open through us: each leads to another peer behind us."""

RELAY_CIRCUITS_TO_PEER_MAX = 48
"""Circuits to one peer behind us: below the streams that it takes from us at a time, with room for our own."""

RELAY_ASKS_PER_S = 2.0
"""Circuits that one peer may ask for, over time; each costs us a stream, and another peer a stream and a handshake."""

RELAY_ASKS_BURST = 4 * RELAY_CIRCUITS_FROM_PEER_MAX
"""Circuits that it may ask for at once: all that it may have, dialled again some times while a link is bad."""

RELAY_SOURCES_KEPT_MAX = CONNECTIONS_MAX
"""Peers whose asking is remembered: as many as can ask at a time."""

RELAY_OFFERS_PER_S = 10.0
"""Circuits that one peer behind us is offered, over time: far below the streams whose coming and going it takes for an
attack. Sources that dial more often wait for each other instead of losing it to us."""

RELAY_OFFERS_BURST = 2 * RELAY_CIRCUITS_TO_PEER_MAX
"""Circuits that it is offered at once: everybody comes back when it has got a new reservation."""

HOP_STREAMS_PER_PEER_MAX = RELAY_CIRCUITS_FROM_PEER_MAX + 2
"""Inbound streams of one peer that asks us to relay: its circuits, and one more that asks for a reservation or is
refused, and one that it has ended while we do not know yet."""

CIRCUIT_HEAD_START_S = 1.0
"""How long the direct addresses of a peer have the field to themselves before a relay is asked: its owner pays for
every byte."""

RELAY_CIRCUIT_S = 3600.0
"""How long a circuit lasts; the ends dial again when they still want each other."""

RELAY_CIRCUIT_BYTES_MAX = 1024 * MIB
"""Bytes that a circuit carries one way."""

RELAY_BYTES_PER_S = 4 * MIB
"""Bytes that all circuits through us carry together: a part of a volunteer's line, in both directions."""

RELAY_BURST_BYTES = 4 * MIB
"""Bytes that are carried at once after a pause."""

RELAY_PIECE_BYTES = 16 * KIB
"""Bytes of a circuit that wait here for its other side."""

RELAY_MESSAGE_BYTES_MAX = 4 * KIB
"""A message between a relay and its users: a peer id, some addresses, a limit."""

RELAY_WINDOW_BYTES = STREAM_WINDOW_INITIAL_BYTES
"""Unread bytes that one side of a circuit may pile up at the relay. It never grows: with 48 busy circuits a peer stays
at 12 MB, below UNREAD_BYTES_PER_PEER_MAX, and 5 MB/s at a round trip of 50 ms is all that we carry anyway."""

RELAY_ADDRESSES_MAX = 3
"""Addresses that we announce for one relay: two families, and its LAN."""

CONNECTIONS_INBOUND_MAX = CONNECTIONS_MAX - 128
"""Connections that others made: the rest of the slots is for those that we make, however many strangers come."""

CONNECTIONS_PER_ADDRESS_MAX = 16
"""Inbound connections from one public address (an IPv6 /56, which is one household): some nodes behind one router."""

CONNECTIONS_PER_BLOCK_MAX = 64
"""Inbound connections from one IPv4 /24 or IPv6 /48: what one operator owns easily shall not fill the slots."""

HANDSHAKES_PER_BLOCK_MAX = 16
"""Handshakes under way from one public /24 or /48: an eighth of all, so that slow ones from one place stop nobody."""

HANDSHAKE_PAUSE_S = 0.001
"""The pause between two steps of inbound handshakes, over all of them: their arithmetic gets a part of the loop's time,
not all of it, whoever asks. One handshake has about six steps."""

PROTOCOL_STREAMS_MAX = INBOUND_STREAMS_MAX * 3 // 4
"""Inbound streams of one protocol: those of all peers together leave room for the others."""

OUTBOUND_STREAMS_MAX = 2_048
"""Streams that we have open in all; the mirror of the inbound limit."""

GOSSIP_STREAMS_PER_PEER_MAX = 2
"""Inbound gossip streams of a peer: one, and the one that replaces it while the old one is not noticed as dead."""

IDENTIFY_STREAMS_PER_PEER_MAX = 2
"""Inbound identify streams of a peer: it asks once for each connection."""

UNREAD_BYTES_MAX = 256 * MIB
"""Bytes that arrived and were not read yet, over all peers: what full windows of a thousand streams hold."""

UNREAD_BYTES_FOR_STRANGERS_MAX = UNREAD_BYTES_MAX * 3 // 4
"""The part of it that peers may fill whom nobody protects."""

UNREAD_BYTES_PER_PEER_MAX = 32 * MIB
"""Unread bytes of one peer: all of its streams at their initial window, and as much again for grown ones."""

FRAMES_PER_TURN = 64
"""Frames, or reads that a buffer answers, before the other tasks get their turn: about half a millisecond."""

FRAMES_PER_OPENING = 16
"""What the opening of a stream costs beside a frame that only moves bytes: a task and a negotiation."""

BREACH_PAUSE_S = 30.0
"""How long a peer that broke the protocol of a connection gets no other one: a flood that is cut would dial again at
once, and each connection costs a handshake and is told to gossip and DHT."""

BREACHES_KEPT_MAX = 1_024
"""Peers that are remembered for it."""

SMALL_BODY_BYTES = 1 * KIB
"""A data frame with less than this costs more for its head than for its bytes, and counts as a small frame."""

SMALL_FRAMES_PER_S = 4_000.0
"""Small and empty frames of a connection before its reader pauses; two for each of 2,000 round trips a second."""

SMALL_FRAMES_BURST = 8_000
"""Small frames that may come at once."""

STREAM_OPENS_PER_S = 250.0
"""Streams that a peer opens on a connection before its reader pauses: about what an honest client opens when each of
its requests needs a fresh one."""

STREAM_OPENS_BURST = 250
"""Streams that may be opened at once."""

STREAM_RESETS_PER_S = 50.0
"""Streams that a peer opens and resets. Each makes us start and stop a task for nothing; nobody honest cancels more."""

STREAM_RESETS_BURST = 100
"""Resets that may come at once, when a large read is cancelled; a connection with more of them is closed."""

PINGS_PER_S = 10.0
"""Yamux pings of a peer; ours come every eight seconds."""

PINGS_BURST = 100
"""Pings that may come at once; a connection with more of them is closed."""

REQUESTS_SERVED_PER_PEER_MAX = REQUESTS_PER_PEER_MAX
"""Requests of one peer that are worked on at a time: as many as an honest one sends; further ones wait unread."""

REQUESTS_SERVED_MAX = 512
"""Requests that are worked on at a time, over all peers."""

REQUEST_STREAMS_PER_PEER_MAX = REQUESTS_PER_PEER_MAX + 2 * IDLE_STREAMS_PER_PEER_MAX
"""Inbound streams of one peer for one of our own protocols: its requests under way and its kept streams, with room for
those whose end we have not noticed."""

WARN_EVERY_S = 60.0
"""How often a warning of one kind is logged while it goes on: a flood must not fill the log as well."""
