"""The network of the tests: what they blame on it must be its doing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_servers import wait_until
from tcp_proxy import TcpProxy, tcp_proxy


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[TcpProxy]:
    """In front of an echo server on a Unix socket."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "echo"))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(connection,), daemon=True).start()

    def echo(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(100):
                connection.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    with tcp_proxy(str(tmp_path / "echo")) as running:
        yield running
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def connected(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def test_it_forwards_both_ways(proxy: TcpProxy) -> None:
    with connected(proxy) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        assert proxy.connections == 1
    wait_until(lambda: proxy.connections == 0)


def test_a_cut_closes_everything_until_it_is_healed(proxy: TcpProxy) -> None:
    with connected(proxy) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        proxy.cut()
        assert client.recv(100) == b""
    with connected(proxy) as client:
        assert client.recv(100) == b""
    proxy.heal()
    with connected(proxy) as client:
        client.sendall(b"again")
        assert client.recv(100) == b"again"


def test_what_was_sent_into_a_stall_arrives_when_it_ends(proxy: TcpProxy) -> None:
    with connected(proxy) as client:
        client.sendall(b"one")
        assert client.recv(100) == b"one"
        proxy.stall()
        client.sendall(b"two")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(100)
        proxy.heal()
        client.settimeout(5)
        assert client.recv(100) == b"two"


def test_a_slow_network_delays_each_way(proxy: TcpProxy) -> None:
    proxy.slow(0.05)
    with connected(proxy) as client:
        begin = time.monotonic()
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        assert time.monotonic() - begin >= 0.1
