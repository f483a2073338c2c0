"""Repair, as far as it is decided and not done: how endangered a blob is, who rebuilds what, and who is served.

PROTOCOL section 7. Everything here is a function of its arguments; `p2pnode.services.repair` waits, asks and stores.
"""
