"""Who is believed to be here: an old disk that is put back, an own link that is down, a clock that is set right."""

from __future__ import annotations

from dataclasses import replace

import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.config import DAY_S, PRIVATE
from p2pnode.membership.liveness import Liveness
from testnet.sim.faults import FaultKind
from testnet.sim.judges import JudgementError
from testnet.sim.run import HEALTHY, Run
from testnet.sim.scenarios import SITE_NODES, scenario

NAME = "liveness"

_HASTY = replace(
    PRIVATE,
    name="hasty",
    member_record_every_s=20,
    member_stale_after_s=60,
    suspect_after_s=40,
    offline_after_s=60,
    short_grace_s=40,
    long_grace_s=200,
)
"""Silence means in minutes what it means in hours elsewhere; a dead connection is noticed in 30 s as everywhere."""

_SLOW_RECORDS = replace(PRIVATE, name="slow-records", member_record_every_s=90, member_stale_after_s=200)

_LOOK_S = 5.0
"""How much later than at its time a change of states may show: nodes look ten times in a suspect time."""

_WATCH_S = 1.0
_EVEN = 0.5

_AT_ONCE_S = 20.0
"""How soon nodes believe each other once a clock is right: well below the time between two records."""


@scenario(FaultKind.OLD_DISK, profile=_SLOW_RECORDS)
async def an_old_disk_is_put_back(run: Run) -> None:
    """A disk is put back from an old image; its node signs no number twice, and is believed within minutes."""
    await run.start()
    (restored,) = run.some(1)
    await run.must_put(restored, HEALTHY)
    every_s = _SLOW_RECORDS.member_record_every_s
    await run.wait(every_s + 5.0, 1.5 * every_s)  # By then it has written down whom it knows, and so can ask.
    image = run.inject.image(restored)
    await run.wait(every_s + 5.0, 2.5 * every_s)
    for _ in range(2):
        await run.must_put(restored, HEALTHY)
        await run.wait(1.0, 5.0)
    run.inject.old_disk(restored, image)
    await run.wait(0.5, 10.0)
    await run.restart(restored)
    await run.world.all_meet()
    await run.must_put(restored, "an old disk stores as any other")
    await run.wait(1.0, 10.0)
    await run.heal()
    await run.demand_progress()
    _demand(
        run,
        restored,
        run.machine(restored).node.info().restored or not run.has_fired(FaultKind.OLD_DISK),
        "it does not say that it is restored",
    )


@scenario(FaultKind.CUT, FaultKind.LEFT_FOR_EVER, nodes=SITE_NODES, profile=_HASTY)
async def the_own_link_is_down(run: Run) -> None:
    """A node is cut off while one more is gone: for one short grace nobody is lost to it, then everything goes on."""
    await run.start()
    gone, cut_off = run.some(2)
    run.inject.lose_for_ever(gone)
    # It was heard for the last time some 20 s later, as the others will be once the cut is there: so its grace ends in
    # the middle of the freeze.
    await run.wait(_HASTY.long_grace_s - 70.0, _HASTY.long_grace_s - 65.0)
    run.inject.partition([cut_off], run.others([cut_off]))
    await run.until_fired(FaultKind.CUT, timeout_s=_HASTY.suspect_after_s)
    if run.has_fired(FaultKind.CUT):
        await _watch_freeze(run, cut_off, gone, ends_early=run.rng.random() < _EVEN)
    core = run.others([gone])
    await run.heal(core)
    await trio.sleep(_LOOK_S)
    _demand(run, cut_off, not run.machine(cut_off).node.info().frozen, "it is frozen though all others answer")
    await run.demand_progress(core)


async def _watch_freeze(run: Run, cut_off: str, gone: str, *, ends_early: bool) -> None:
    """Look on until a freeze is over, or has begun: nobody gets lost by it, and it is no longer than a short grace."""
    node = run.machine(cut_off).node
    gone_id = peer_id_to_text(run.machine(gone).peer_id)
    begins_by = run.world.clock.current_time() + 2 * _HASTY.suspect_after_s
    frozen_s = 0.0
    while node.info().frozen or not frozen_s:
        is_late = run.world.clock.current_time() > begins_by and not frozen_s
        _demand(run, cut_off, not is_late, "it does not notice that its link is down")
        if node.info().frozen:
            frozen_s += _WATCH_S
            states = {peer.peer_id: peer.state for peer in node.peers()}
            _demand(run, cut_off, states[gone_id] != Liveness.LOST, "it declares a member lost while its link is down")
            _demand(run, cut_off, frozen_s < _HASTY.short_grace_s + _LOOK_S, "it is frozen longer than a short grace")
            if ends_early:
                return
        await trio.sleep(_WATCH_S)


@scenario(FaultKind.CLOCK_JUMP, nodes=5, profile=_SLOW_RECORDS)
async def a_clock_is_set_right(run: Run) -> None:
    """A clock is a week ahead or a day behind until nobody is fresh to anybody; once it is right all is as before."""
    await run.start()
    await run.must_put("n1", HEALTHY)
    (wrong,) = run.some(1)
    run.inject.jump(wrong, run.rng.choice([7 * DAY_S, -DAY_S]))
    await run.wait(_SLOW_RECORDS.member_stale_after_s + 10.0, _SLOW_RECORDS.member_stale_after_s + 60.0)
    run.machine(wrong).clock.set_wrong(0.0)
    with trio.move_on_after(_AT_ONCE_S) as patience:
        await run.world.all_meet()
    _demand(
        run, wrong, not patience.cancelled_caught, f"{_AT_ONCE_S:.0f} s after its clock was set right some are stale"
    )
    await run.must_put(wrong, "its clock is right again")
    await run.heal()
    await run.demand_progress()


def _demand(run: Run, node: str, is_so: bool, otherwise: str) -> None:  # noqa: FBT001 - the fact itself
    run.count(NAME)
    if not is_so:
        raise JudgementError(NAME, otherwise, node=node)
