"""A network that a test can cut, stall and slow: a TCP port in front of a server's port or Unix socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

Target = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""
PIECE = 64 * 1024


class TcpProxy:
    """Forwards connections from `127.0.0.1:port` to `target`. Use `tcp_proxy()`, which closes it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._flowing = threading.Event()
        self._flowing.set()
        self._refusing = False
        self._delay = 0.0
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close every connection, and each new one at once, until `heal`."""
        with self._lock:
            self._refusing = True
            connections, self._connections = self._connections, set()
        for connection in connections:
            _shut(connection)

    def stall(self) -> None:
        """Forward nothing, close nothing, say nothing: a black hole, until `heal`. What was sent arrives then."""
        self._flowing.clear()

    def slow(self, seconds: float) -> None:
        """Hold back every piece of data for so long, each way."""
        self._delay = seconds

    def heal(self) -> None:
        """A good network again."""
        self._refusing, self._delay = False, 0.0
        self._flowing.set()

    @property
    def connections(self) -> int:
        """Those that are open now."""
        with self._lock:
            return len(self._connections) // 2

    def close(self) -> None:
        self._closed.set()
        _shut(self._listener)
        self._listener.close()
        self.cut()
        self._flowing.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        self._flowing.wait()
        far: socket.socket | None = None
        if not self._refusing:
            with suppress(OSError):
                far = _connected(self._target)
        if far is None:
            near.close()
            return
        with self._lock:
            refused = self._refusing
            if not refused:
                self._connections |= {near, far}
        if refused:
            _shut(near)
            _shut(far)
        back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
        back.start()
        self._pump(near, far)
        back.join()
        with self._lock:
            self._connections -= {near, far}
        near.close()
        far.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE):
                self._closed.wait(self._delay)
                self._flowing.wait()
                sink.sendall(piece)
        self._flowing.wait()
        _shut(source)
        _shut(sink)


@contextmanager
def tcp_proxy(target: Target) -> Generator[TcpProxy]:
    """A proxy in front of `target` for the length of the block."""
    proxy = TcpProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()


def _connected(target: Target) -> socket.socket:
    if isinstance(target, tuple):
        return socket.create_connection(target)
    far = socket.socket(socket.AF_UNIX)
    far.connect(target)
    return far


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
