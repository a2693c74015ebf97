"""`penstock up` with small programs in the place of the API and the Workers: `local_stub.py up|down OPTION…`.

Run with a role's name it is that program. The stubs need no model, start in 0.1 s, and say what they are told to.
The API's backlog are two numbers, to ingest and to embed, in the file STUB_BACKLOG; without the file it answers 503.
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from types import FrameType

API = "api"


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        backlog = os.environ.get("STUB_BACKLOG")
        has_none = self.path == "/queues" and backlog is not None and not Path(backlog).exists()
        self.send_response(503 if has_none else 200)
        self.end_headers()
        if self.path == "/queues" and backlog is not None and not has_none:
            self.wfile.write(queues(*map(int, Path(backlog).read_text().split())))

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002  # the base class's name


def queues(to_ingest: int, to_embed: int) -> bytes:
    """As the API tells them."""
    counts = {"ingest-queue": to_ingest, "embedding-queue": to_embed}
    return json.dumps({queue: {"waiting": count, "in_flight": 0} for queue, count in counts.items()}).encode()


def serve() -> None:
    address = (os.environ["PENSTOCK_API_HOST"], int(os.environ["PENSTOCK_API_PORT"]))
    with http.server.HTTPServer(address, Health) as server:
        server.serve_forever()


def work(role: str) -> None:
    if mischief := os.environ.get(f"STUB_{role.upper()}"):
        sys.stderr.write(f"12:00:00.000 error {role:<9} {mischief}\n")
        sys.exit(int(mischief.split()[-1]))
    sys.stderr.write(f"12:00:00.000 info  {role:<9} ready database={os.environ['PENSTOCK_DATABASE_URL']}\n")
    sys.stderr.write(f"12:00:00.000 warn  {role:<9} something to know\n")
    sys.stderr.flush()
    while True:
        time.sleep(60)


def leave(_signal: int, _frame: FrameType | None) -> None:
    sys.stderr.write("12:00:00.000 info  worker    drained\n")
    sys.exit(0)


def main() -> None:
    role = sys.argv[1]
    if role in {"ingester", "embedder"}:
        if role != os.environ.get("STUB_DEAF"):
            signal.signal(signal.SIGTERM, leave)
        else:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        work(role)
    elif role == API:
        serve()
    else:
        command_line()


def command_line() -> None:
    import typer  # noqa: PLC0415  # the stubs do without

    from penstock.cli import up as commands  # noqa: PLC0415
    from penstock.errors import SetupError  # noqa: PLC0415
    from penstock.local import plans, supervisor  # noqa: PLC0415

    here = str(Path(__file__).resolve())
    roles = {role: (sys.executable, here, role) for role in plans.ROLES}
    supervisor.run_everything = partial(supervisor.run_everything, roles=roles)
    plain_command = commands.command_of
    commands.command_of = lambda options: [sys.executable, here, "up", *plain_command(options)[5:]]
    app = typer.Typer()
    app.command()(commands.up)
    app.command()(commands.down)
    try:
        app()
    except SetupError as error:
        sys.stderr.write(f"penstock: {error.message}\n")
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
