"""A network that a test may cut, stall and slow down: a TCP proxy in front of one server."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

PIECE_BYTES = 64 * 1024
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: a close sends RST, as a machine does that lost its connections."""

Target = tuple[str, int] | Path
"""Host and port, or a Unix socket."""


class TcpProxy:
    """Forwards connections of a port on the loopback interface to `target`. Threads, so that no event loop is in it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._changed = threading.Condition()
        self._open = set[socket.socket]()
        self._is_cut = False
        self._is_stalled = False
        self._seconds = 0.0
        self._closed = False
        threading.Thread(target=self._accept, name=f"proxy-{self.port}", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cut(self) -> None:
        """Reset all connections, and each new one, until `heal`."""
        self._become(is_cut=True)
        self._reset_all()

    def stall(self) -> None:
        """Forward nothing until `heal`; connections stay open, and new ones are taken: a black hole."""
        self._become(is_stalled=True)

    def slow(self, seconds: float) -> None:
        """Hold back every piece for so long, until `heal`."""
        self._become(seconds=seconds)

    def heal(self) -> None:
        """Forward as if nothing had been."""
        self._become()

    @property
    def connections(self) -> int:
        """Connections that clients hold open now."""
        with self._changed:
            return len(self._open) // 2

    def close(self) -> None:
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.heal()
        self._reset_all()

    def _become(self, *, is_cut: bool = False, is_stalled: bool = False, seconds: float = 0.0) -> None:
        with self._changed:
            self._is_cut, self._is_stalled, self._seconds = is_cut, is_stalled, seconds
            self._changed.notify_all()

    def _reset_all(self) -> None:
        with self._changed:
            for end in self._open:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads from it, which closes it

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            if self._is_cut or not self._wait_while_stalled():
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return
            try:
                server = self._connect()
            except OSError:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return
            with server:
                self._join(client, server)

    def _connect(self) -> socket.socket:
        if isinstance(self._target, Path):
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self._target))
            except OSError:
                server.close()
                raise
            return server
        return socket.create_connection(self._target)

    def _join(self, client: socket.socket, server: socket.socket) -> None:
        with self._changed:
            self._open |= {client, server}
        if self._is_cut:
            self._reset_all()
        for end in (client, server):
            with suppress(OSError):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
        back.start()
        self._pump(client, server)
        back.join()
        with self._changed:
            self._open -= {client, server}

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        """Forward one direction until it ends, then tell the other side."""
        try:
            while piece := source.recv(PIECE_BYTES):
                if not self._wait_while_stalled():
                    break
                if self._seconds:
                    time.sleep(self._seconds)
                sink.sendall(piece)
        except OSError:
            with suppress(OSError):
                source.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _wait_while_stalled(self) -> bool:
        """Whether the connection is still wanted afterwards."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_stalled or self._is_cut or self._closed)
            return not (self._is_cut or self._closed)
