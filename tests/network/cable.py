"""A cable between two nodes of a test that can be pulled: nothing gets through any more, and nobody is told."""

from __future__ import annotations

import trio

_PIECE_BYTES = 65_536


class Cable:
    """Forwards connections to a port of this machine, until it is pulled."""

    def __init__(self, port: int) -> None:
        """Lead there."""
        self.port = 0
        """Where to dial instead."""
        self._target = port
        self._pulled = trio.Event()

    def pull(self) -> None:
        """Lose everything from now on, in both ways."""
        self._pulled.set()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Forward until cancelled."""
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(lambda *, task_status: self._listen(task_status))
            self.port = listeners[0].socket.getsockname()[1]
            task_status.started()

    async def _listen(self, task_status: trio.TaskStatus[list[trio.SocketListener]]) -> None:
        await trio.serve_tcp(self._forward, 0, host="127.0.0.1", task_status=task_status)

    async def _forward(self, near: trio.SocketStream) -> None:
        far = await trio.open_tcp_stream("127.0.0.1", self._target)
        async with near, far, trio.open_nursery() as nursery:
            nursery.start_soon(self._carry, near, far)
            nursery.start_soon(self._carry, far, near)

    async def _carry(self, source: trio.SocketStream, target: trio.SocketStream) -> None:
        try:
            while data := await source.receive_some(_PIECE_BYTES):
                if self._pulled.is_set():
                    await trio.sleep_forever()  # Neither read nor closed: the ends have to notice by themselves.
                await target.send_all(data)
            await target.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            target.socket.close()
            source.socket.close()
