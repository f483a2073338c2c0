"""The real API over a fake node, in a thread of its own, announced in a real home: what the commands speak to."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import trio

from p2pnode.api.app import make_app
from p2pnode.api.server import bind, serve, url_of
from p2pnode.storage.home import DaemonInfo, open_home, remove_daemon_info, write_daemon_info
from tests.api.fake_node import PEER_ID, FakeNode

WAIT_S = 20.0


class FakeDaemon:
    """Runs while its context is open; the attributes of `node` say how it fails."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._token = open_home(home).api_token
        self._listener = bind("127.0.0.1:0")
        self.url = url_of(self._listener)
        self.node = FakeNode()
        self._scope = trio.CancelScope()
        self._trio: trio.lowlevel.TrioToken | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(WAIT_S)
        info = DaemonInfo(pid=os.getpid(), peer_id=PEER_ID, addresses=(), api=self.url, started=0)
        write_daemon_info(self._home, info)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        remove_daemon_info(self._home)

    def stop(self) -> None:
        """End as a killed daemon does: connections break, and `daemon.json` stays."""
        if self._thread.is_alive():
            assert self._trio is not None
            trio.from_thread.run_sync(self._scope.cancel, trio_token=self._trio)
            self._thread.join(WAIT_S)
            assert not self._thread.is_alive()

    async def _run(self) -> None:
        self._trio = trio.lowlevel.current_trio_token()
        with self._scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(serve, make_app(self.node, token=self._token), self._listener)
                self._ready.set()
