"""A process that behaves as `p2pnode run` does towards whoever starts it: daemon file, API, end of the pipe, signals.

It knows every other fake node beside its home. A file `habit` in its home makes it misbehave: `fails`, `hangs`
(never gets ready), `lonely` (knows nobody) or `stubborn` (ignores SIGTERM).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOKEN = "fake-token"


def main() -> None:
    """Run until the pipe ends or a SIGTERM comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["run"])
    parser.add_argument("--listen", default="/ip4/127.0.0.1/tcp/0")
    parser.add_argument("--bootstrap")
    parser.add_argument("--exit-with-fd", type=int)
    options = parser.parse_args()
    home = Path(os.environ["P2PNODE_HOME"])
    habit = (home / "habit").read_text("utf-8") if (home / "habit").exists() else ""
    if habit == "fails":
        sys.exit("the disk is on fire")
    if options.exit_with_fd is not None:
        threading.Thread(target=_end_with_pipe, args=(options.exit_with_fd,), daemon=True).start()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: None if habit == "stubborn" else ended.set())
    if habit != "hangs":
        _serve(home, options.listen, habit)
    ended.wait()
    (home / "daemon.json").unlink()


def _end_with_pipe(read_end: int) -> None:
    os.read(read_end, 1)
    os._exit(0)


def _serve(home: Path, listen: str, habit: str) -> None:
    _, _, host, _, port = listen.split("/")
    listener = socket.create_server((host, int(port)))
    peer_id = hashlib.sha256(str(home).encode()).hexdigest()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            authorised = self.headers["Authorization"] == f"Bearer {TOKEN}"
            body = json.dumps({"peers": [] if habit == "lonely" else _neighbours(home)}).encode()
            self.send_response(200 if authorised else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"/ip4/{host}/tcp/{listener.getsockname()[1]}/p2p/{peer_id}"
    about = {"pid": os.getpid(), "peer_id": peer_id, "addresses": [address]}
    about["api"] = f"http://127.0.0.1:{server.server_address[1]}"
    (home / "api-token").write_text(TOKEN + "\n", "ascii")
    (home / "daemon.tmp").write_text(json.dumps(about), "utf-8")
    (home / "daemon.tmp").rename(home / "daemon.json")


def _neighbours(home: Path) -> list[dict[str, object]]:
    found = []
    for path in home.parent.parent.glob("*/home/daemon.json"):
        about = json.loads(path.read_text("utf-8"))
        if path.parent != home:
            found.append({"peer_id": about["peer_id"], "state": "active", "addresses": about["addresses"]})
    return found


if __name__ == "__main__":
    main()
