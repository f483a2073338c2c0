"""Hand over all that your node keeps for others, before it leaves for good."""

from __future__ import annotations

import dataclasses
import time
from typing import Annotated

import typer

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.options import HOME_DEFAULT, HomeOption, JsonOption, new_app
from p2pnode.cli.output import one_line, print_json, reporting
from p2pnode.cli.owner_client import begin_drain, drain_state, stop_drain
from p2pnode.errors import CallerError
from p2pnode.services.owner_face import DrainState
from p2pnode.wording import counted

app = new_app()

_LOOK_EVERY_S = 1.0


@app.command()
def drain(
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Return when all of it is with other nodes.")] = False,
    shows: Annotated[bool, typer.Option("--status", help="Show how far it is; begin nothing.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop it: the node stays, with what it still has.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = HOME_DEFAULT,
) -> None:
    """Hand over all that your node keeps for others, before it leaves for good.

    The daemon gives each pair to the node that comes next for it, has that node prove that it has it, and goes on after
    a restart. Until the last one is proven nothing is given up here, and '--stop' ends it without any loss. What you
    stored yourself is with other nodes anyway: it needs a node of yours only to be renewed.
    """
    with reporting(as_json=as_json):
        if wait + shows + stop > 1:
            raise CallerError("give one of --wait, --status and --stop")
        daemon = daemon_of(home)
        if stop:
            state = stop_drain(daemon)
        elif shows:
            state = drain_state(daemon)
        else:
            state = begin_drain(daemon)
        while wait and state.state == "draining":
            time.sleep(_LOOK_EVERY_S)
            state = drain_state(daemon)
        if as_json:
            print_json(dataclasses.asdict(state))
        else:
            _print_for_a_person(state)


def _print_for_a_person(state: DrainState) -> None:
    match state.state:
        case "drained":
            print("all that this node kept is with other nodes: stop it, and remove its home")
        case "draining":
            print(f"{state.pairs_left} of {counted(state.pairs, 'pair')} are to be handed over; leave the node running")
            if state.waits_for:
                print(f"! one waits: {one_line(state.waits_for)}")
        case _:
            print("this node does not drain")


command = typer.main.get_command(app)
