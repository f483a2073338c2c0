"""Routers that open ports, on loopback: one that speaks NAT-PMP, and one that speaks UPnP (SSDP, then SOAP)."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trio

_GROUP = "239.255.255.250"
_SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"
_DEVICE = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"

_DESCRIPTION = f"""<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion>
<device><deviceType>{_DEVICE}</deviceType><friendlyName>fake</friendlyName><manufacturer>x</manufacturer>
<modelName>x</modelName><UDN>uuid:1</UDN><deviceList>
<device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><UDN>uuid:2</UDN><serviceList><service>
<serviceType>urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1</serviceType><serviceId>c</serviceId>
<controlURL>/c</controlURL><eventSubURL>/e</eventSubURL><SCPDURL>/s</SCPDURL></service></serviceList><deviceList>
<device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><UDN>uuid:3</UDN><serviceList><service>
<serviceType>{_SERVICE}</serviceType><serviceId>i</serviceId>
<controlURL>/control</controlURL><eventSubURL>/e</eventSubURL><SCPDURL>/s</SCPDURL></service></serviceList></device>
</deviceList></device></deviceList></device></root>"""


@dataclass
class NatPmpGateway:
    """A router; `mappings` has the outer port of each inner one, with its lifetime."""

    outer: str = "8.8.4.4"
    refuses_with: int = 0
    """A result code for requests to map."""
    ignores: int = 0
    """So many datagrams are lost."""
    garbage: tuple[bytes, ...] = ()
    """What is sent before each answer."""
    lifetime_s: int = 3600
    """The longest that is granted."""
    mappings: dict[int, tuple[int, int]] = field(default_factory=dict)
    requests: list[bytes] = field(default_factory=list)
    port: int = 0

    def answer(self, request: bytes) -> bytes:
        """Do what is asked."""
        self.requests.append(request)
        if request[1] == 0:
            return struct.pack("!BBHI4s", 0, 128, 0, 7, socket.inet_aton(self.outer))
        _, _, _, inner, outer, lifetime_s = struct.unpack("!BBHHHI", request)
        if self.refuses_with:
            return struct.pack("!BBHIHHI", 0, 130, self.refuses_with, 7, inner, 0, 0)
        if lifetime_s == 0:
            self.mappings.pop(inner, None)
            return struct.pack("!BBHIHHI", 0, 130, 0, 7, inner, 0, 0)
        granted = min(lifetime_s, self.lifetime_s)
        self.mappings[inner] = (outer + 1, granted)  # Another one than was wished, as it may.
        return struct.pack("!BBHIHHI", 0, 130, 0, 7, inner, outer + 1, granted)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen on loopback for the length of a block."""
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as server:
            await server.bind(("127.0.0.1", 0))
            self.port = server.getsockname()[1]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._serve, server)
                yield
                nursery.cancel_scope.cancel()

    async def _serve(self, server: trio.socket.SocketType) -> None:
        while True:
            request, source = await server.recvfrom(100)
            if self.ignores:
                self.ignores -= 1
                continue
            for noise in self.garbage:
                await server.sendto(noise, source)
            await server.sendto(self.answer(request), source)


@dataclass
class UpnpGateway:
    """A router; `mappings` has (inner host, inner port, lifetime) of each outer port."""

    outer: str = "8.8.4.4"
    taken: frozenset[int] = frozenset()
    """Outer ports that lead to somebody else."""
    only_permanent: bool = False
    """Refuse every lifetime but 0, as old routers do."""
    mappings: dict[int, tuple[str, int, int]] = field(default_factory=dict)

    def act(self, action: str, body: str) -> tuple[int, str]:
        """Do one SOAP action; return the HTTP status and the values or the fault."""
        values = dict(re.findall(r"<(New\w+)>([^<]*)</\1>", body))
        if action == "GetExternalIPAddress":
            return 200, f"<NewExternalIPAddress>{self.outer}</NewExternalIPAddress>"
        if action == "GetStatusInfo":
            state = "<NewConnectionStatus>Connected</NewConnectionStatus>"
            return 200, state + "<NewLastConnectionError>ERROR_NONE</NewLastConnectionError><NewUptime>7</NewUptime>"
        port = int(values.get("NewExternalPort", "0"))
        if action == "DeletePortMapping":
            self.mappings.pop(port, None)
            return 200, ""
        assert action == "AddPortMapping", action
        lifetime_s = int(values["NewLeaseDuration"])
        if port in self.taken:
            return 500, _fault(718, "ConflictInMappingEntry")
        if self.only_permanent and lifetime_s:
            return 500, _fault(725, "OnlyPermanentLeasesSupported")
        self.mappings[port] = (values["NewInternalClient"], int(values["NewInternalPort"]), lifetime_s)
        return 200, ""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Answer searches on the loopback interface, and SOAP, in threads, for the length of a block."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        searched = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        searched.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        searched.bind((_GROUP, 1900))
        member = socket.inet_aton(_GROUP) + socket.inet_aton("127.0.0.1")
        searched.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        location = f"http://127.0.0.1:{server.server_address[1]}/root.xml"
        threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}),
            threading.Thread(target=_answer_searches, args=(searched, location)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            with contextlib.suppress(OSError):  # It is not connected, and wakes up the reader nevertheless.
                searched.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(10)
            searched.close()


def _fault(code: int, text: str) -> str:
    error = f'<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>{code}</errorCode>'
    error += f"<errorDescription>{text}</errorDescription></UPnPError>"
    kind = "<faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring>"
    return f"<s:Fault>{kind}<detail>{error}</detail></s:Fault>"


def _answer_searches(searched: socket.socket, location: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answering:
        answering.bind(("127.0.0.1", 0))
        while True:
            request, source = searched.recvfrom(2000)
            if not request:
                return
            if request.startswith(b"M-SEARCH") and _DEVICE.encode() in request:
                answer = f"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=60\r\nEXT:\r\nLOCATION: {location}\r\n"
                answer += f"SERVER: fake UPnP/1.1\r\nST: {_DEVICE}\r\nUSN: uuid:1::{_DEVICE}\r\n\r\n"
                answering.sendto(answer.encode(), source)


def _handler_of(gateway: UpnpGateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200, _DESCRIPTION)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            action = self.headers["SOAPAction"].strip('"').rpartition("#")[2]
            status, content = gateway.act(action, body)
            if status == 200:
                content = f'<u:{action}Response xmlns:u="{_SERVICE}">{content}</u:{action}Response>'
            envelope = '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
            self._send(status, f'<?xml version="1.0"?>{envelope}{content}</s:Body></s:Envelope>')

        def _send(self, status: int, text: str) -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    return Handler
