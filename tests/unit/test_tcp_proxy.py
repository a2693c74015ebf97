"""The proxy that other tests cut: what it does must be what they think it does."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
from tcp_proxy import TcpProxy


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while piece := self.request.recv(1024):
            self.request.sendall(piece)


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        with TcpProxy(("127.0.0.1", server.server_address[1])) as proxy:
            yield proxy
        server.shutdown()


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def says(client: socket.socket, word: bytes) -> bool:
    client.sendall(word)
    return client.recv(1024) == word


def test_it_forwards(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        assert says(client, b"hello")


def is_lost(client: socket.socket) -> bool:
    try:
        client.sendall(b"anybody there?")
        return client.recv(1024) == b""
    except ConnectionError:
        return True


def test_cut_resets_what_is_open_and_what_comes_until_it_is_healed(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        assert says(client, b"hello")
        proxy.cut()
        assert is_lost(client)
    with connect(proxy) as client:
        assert is_lost(client)
    proxy.heal()
    with connect(proxy) as client:
        assert says(client, b"hello")


def test_a_stalled_connection_stays_open_and_goes_on(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        assert says(client, b"hello")
        proxy.stall()
        client.sendall(b"later")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1024)
        proxy.heal()
        client.settimeout(5)
        assert client.recv(1024) == b"later"


def test_a_slow_connection_takes_its_time(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        assert says(client, b"hello")
        proxy.slow(0.1)
        began = time.monotonic()
        assert says(client, b"slow")
        assert time.monotonic() - began >= 0.2, "there and back"
