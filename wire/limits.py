"""Everything that a peer can make us hold, loop over or wait for has a limit here, each with its reason.

A number that another limit already implies is computed from it, so that the two cannot disagree.
`tests/wire/test_limits.py` reaches every limit by its name.
"""

MIB = 1024 * 1024

SHARDS_MIN = 4
"""Below four shards no fault is tolerated (f = 0): the code format starts here."""

SHARDS_MAX = 1000
"""The largest n of the code format (spec section 1)."""

BLOB_BYTES_MAX = 16 * MIB
"""A longer file is cut into segments, so no honest writer sends a longer blob; it bounds what one blob can cost us."""

SYMBOL_BYTES_MAX = 65_534
"""The largest symbol of the code format."""

SLIVER_BYTES_MAX = 2 * MIB
"""The longest sliver. At small n the symbol limit binds (n = 10: 458,738 bytes); from n = 32 on a primary is a P-th of
BLOB_BYTES_MAX. The longest of all has 1,398,144 bytes (n = 32, P = 12); 2 MiB rejects nothing that a writer makes."""

PIECE_BYTES = 256 * 1024
"""Sliver bytes travel in pieces of this size: large enough for full speed, small enough to share a connection."""

MESSAGE_BYTES_MAX = 1 * MIB
"""The largest control message. The largest that must fit in one piece is a blob record with one certificate page of a
thousand holders (365 KB); lists of larger things carry as many as fit."""

GOSSIP_BYTES_MAX = 256 * 1024
"""The largest gossiped message; libp2p drops silently what is above 1 MiB, and gossip is copied to many. A full batch
of announcements has 55 KB, the largest member record 9 KB."""

RECORD_BYTES_MAX = 512 * 1024
"""The largest signed record; only a certificate page comes near it (a thousand holders: 299 KB)."""

BYTES_PER_ARRAY_MIN = 4
"""An empty array is one byte on the wire and 64 in memory. No list of ours has items of fewer than six bytes, so a
message has at most one array for every four of its bytes, beyond ARRAYS_FREE."""

ARRAYS_FREE = 16
"""Arrays that even the shortest message may have."""

ADDRESSES_MAX = 8
"""Addresses in a member record: two families times LAN, public and relay, with room for two more."""

DIAL_BACK_ADDRESSES_MAX = ADDRESSES_MAX
"""Addresses that a peer may be asked to dial back: as many as a member record names."""

ADDRESS_CHARS_MAX = 256
"""A multiaddr with a relay hop and two peer ids has about 180 characters."""

DOMAIN_TAG_CHARS_MAX = 32
"""An operator's tag for nodes that fail together: the name of a house or of a provider, in every member record."""

TEXT_CHARS_MAX = 256
"""A version or a reason: one line for a person."""

NETWORK_NAME_CHARS_MAX = 64
"""A network's name stands in every protocol id and every signed body."""

INVITED_MEMBERS_MAX = 3
"""Members in an invitation: the one that invites, and two more for the time when it is away."""

INVITED_ADDRESSES_MAX = 3
"""Addresses of one of them: one a family and one on the LAN; each makes the code longer."""

INVITATION_BYTES_MAX = 4 * 1024
"""Three members with three addresses of the longest kind have 2.9 KB; an ordinary invitation has 100 bytes."""

INVITATION_CHARS_MAX = 8 * 1024
"""The text of INVITATION_BYTES_MAX has 6.6 KB: what is longer is not even looked at."""

MEMBERS_PER_MESSAGE_MAX = 500
"""Member records in one answer: about 300 bytes each, 150 KB. Members with long address lists have up to 9 KB each, so
the answering side stops before MESSAGE_BYTES_MAX and says that there are more."""

MEMBERS_KEPT_MAX = 10_000
"""Member records kept in memory (about 1 KB each, at worst 10 KB): beyond it the full view gives way to a
neighbourhood."""

GROUP_PAGE_HEIGHT = 8
"""A page of a file's group lease is an aligned run of 2**8 blob ids: 8 KiB of ids, 32 bytes of bitmap a shard."""

GROUP_PAGE_BLOBS_MAX = 1 << GROUP_PAGE_HEIGHT

GROUP_BLOBS_MAX = 1 << 22
"""Blobs under one lease: 4 million segments of 16 MiB are 64 TiB."""

PATH_NODES_MAX = 22
"""Siblings in a Merkle path: GROUP_BLOBS_MAX leaves have 22 levels; receipt batches and symbols are smaller."""

RECEIPT_BATCH_MAX = 65_536
"""Receipts under one signature: a page of 256 blobs with at most 256 shards of each on one node."""

SHARD_SETS_MAX = SHARDS_MAX
"""Shard sets one holder names in a page: it may hold each shard once."""

CHALLENGE_SYMBOLS_MAX = 4
"""Symbols that one challenge asks for. Who kept half of a sliver knows a third of its n symbols, and all four of
them in one challenge of eighty; who kept nothing knows none."""

JOINT_PROOF_NODES_MAX = 8 * CHALLENGE_SYMBOLS_MAX
"""Siblings that CHALLENGE_SYMBOLS_MAX leaves of SHARDS_MAX need together: one each on eight levels; on the two below
the root, four that are far apart give each other what they need."""

AUDITS_PER_RECEIPT_MAX = 20
"""Questions that one audit receipt speaks of: beyond that its two signatures are next to nothing for each of them."""

NEIGHBOURS_MAX = 2
"""Entries that a commitment is shown to have beside the place of a pair that it has not: one before, one behind."""

EVIDENCE_BYTES_MAX = 128 * 1024
"""Evidence with a false proof of the longest symbol has 70 KB. Whoever signs a longer one, with more symbols than were
asked for, has given no proof all the same: only its asker scores it."""

EVIDENCE_STATEMENTS_MAX = 2
"""Signed statements in one piece of evidence: one that is false, or two that contradict each other."""

EVIDENCE_PER_MESSAGE_MAX = 4
"""Pieces in one answer: half a message, at their longest."""

EVIDENCE_KEPT_MAX = 1_000
"""Pieces of evidence that a node keeps, 130 MB at worst and some megabytes in practice: there is one for each signer
and kind, and each new signer costs admission work. Its names, 34 bytes each, fit into one message."""

REPAIR_BLOBS_MAX = 16
"""Blobs of one page whose pairs are rebuilt in one go: one signature for them, and 32 MiB of pairs in memory."""

RECOVERY_SYMBOLS_MAX = 2 * REPAIR_BLOBS_MAX
"""Symbols asked of one holder in one request: one along each axis of each blob."""

RECOVERY_BYTES_MAX = 2 * MIB
"""Bytes of symbols in one answer: RECOVERY_SYMBOLS_MAX of the longest, and as much as one sliver may have."""

ANNOUNCEMENTS_MAX = 1_000
"""Announcements in one gossiped batch: at most 55 bytes each, well within GOSSIP_BYTES_MAX."""

LEASES_PER_MESSAGE_MAX = 2
"""A single small blob carries its provisional and its final lease in one round trip."""

CERTIFICATES_PER_MESSAGE_MAX = 4
"""Certificates in the answer about one blob: several owners may hold leases on it; a reader needs one that is good.
Three of a thousand holders fit beside the metadata, a fourth does not: the answering side sends as many as fit, the
longest lease first."""

HOLDER_RECORDS_PER_MESSAGE_MAX = 64
"""Holder records in one message: one of a single blob has 700 bytes, one of a full page 17 KB. The sending side stops
before MESSAGE_BYTES_MAX."""

RETRACTIONS_PER_MESSAGE_MAX = 1_000
"""Retractions in one message: 220 bytes each."""

PAGE_RECORDS_MAX = 4_096
"""Records of receipts of one page that two nodes compare by name, 34 bytes each: its certificates, the holder records,
and a retraction for each pair of a full page that one holder of sixteen has lost."""

PAGES_PER_MESSAGE_MAX = 1_000
"""Pages in one answer about the pages that two nodes share: 45 bytes each."""

RENEWERS_MAX = 8
"""Further keys that may renew a lease: enough for a household, small enough to stay in every lease."""

OWNED_RECORDS_MAX = 10_000
"""Things in one owner's catalogue: at about 300 bytes each 3 MB, and at worst 25 MB, which a node reads whole."""

LEASE_SECONDS_MAX = 31 * 24 * 3600
"""The longest lease (PROTOCOL section 5)."""

PROVISIONAL_SECONDS_MAX = 24 * 3600
"""The longest provisional lease: what a writer that dies can leave behind."""

CLOCK_SKEW_SECONDS = 30 * 60
"""Clock skew that changes nothing (PROTOCOL section 13)."""

LENGTH_PREFIX_BYTES = 4
"""A frame starts with the message's length as an unsigned 32-bit big-endian number."""

MANIFEST_DEPTH_MAX = 3
"""Manifests nest this deep: at n = 4 and 10,000 entries a manifest that is far beyond GROUP_BLOBS_MAX already."""

MANIFEST_ENTRIES_MAX = 65_536
"""Entries of one manifest: below it a manifest nests; 65,536 entries of 38 bytes are 2.5 MB."""

FILE_BYTES_MAX = GROUP_BLOBS_MAX * BLOB_BYTES_MAX
"""The longest file: as many segments as one lease covers."""

UINT64_MAX = 2**64 - 1
"""The largest number that msgpack carries."""
