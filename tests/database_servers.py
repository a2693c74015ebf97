"""The distribution's PgBouncer and a PostgreSQL that speaks TLS, which the embedded one does not."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict
from real_servers import RunningServer, free_port

from penstock.local.account import Account, database_account, let_in
from penstock.local.program import Program
from penstock.local.socket_folder import make_private

PGBOUNCER = shutil.which("pgbouncer", path=os.defpath + ":/usr/sbin")
INSTALLED_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
SERVER_CONNECTIONS = 2
"""Of the pooler to PostgreSQL, for each database."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate for `localhost`, signed by itself, so that it is its own authority."""

    certificate: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    """Readable by whoever `folder` belongs to, and by nobody else."""
    made = Certificate(folder / "server.crt", folder / "server.key")
    command = ["openssl", "req", "-x509", "-nodes", "-days", "1", "-newkey", "ec", "-pkeyopt"]
    command += ["ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run(command, check=True, capture_output=True)
    owner = folder.stat()
    for path in (made.certificate, made.key):
        os.chown(path, owner.st_uid, owner.st_gid)
    return made


def pgbouncer_in(folder: Path, postgres_url: str) -> RunningServer:
    """A PgBouncer in transaction mode, over TCP, before the PostgreSQL of `postgres_url`; not started yet.

    Its URL is that of the same database. It has `SERVER_CONNECTIONS` to each, whoever many come.
    """
    assert PGBOUNCER is not None
    account, home = _home(folder / "pgbouncer")
    server, port = conninfo_to_dict(postgres_url), free_port()
    (home / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={server['host']} port=5432 user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = transaction\ndefault_pool_size = {SERVER_CONNECTIONS}\nmax_client_conn = 200\n"
    )
    program = Program((PGBOUNCER, "-q", str(home / "pgbouncer.ini")), signal.SIGINT, account)
    url = f"postgresql://postgres@127.0.0.1:{port}/{server['dbname']}"
    return RunningServer(url, program, lambda _: _listens(port), folder / "pgbouncer.log")


def tls_postgres_in(folder: Path) -> tuple[RunningServer, Certificate]:
    """The distribution's PostgreSQL, which takes TCP connections by TLS only; not started yet. It has no pgvector."""
    account, home = _home(folder / "postgres")
    certificate, port = make_certificate(home), free_port()
    binaries = INSTALLED_POSTGRES[-1].parent
    initdb = (str(binaries / "initdb"), "-D", str(home / "data"), "-U", "postgres", "--auth=trust", "--no-sync")
    subprocess.run(Program(initdb, account=account).tethered(), check=True, capture_output=True)
    (home / "data" / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 trust\n")
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "off",
        "ssl": "on",
        "ssl_cert_file": str(certificate.certificate),
        "ssl_key_file": str(certificate.key),
    }
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    program = Program((str(binaries / "postgres"), "-D", str(home / "data"), *settings), signal.SIGINT, account)
    url = f"postgresql://postgres@localhost:{port}/postgres"
    return RunningServer(url, program, lambda _: _takes_connections(url), folder / "postgres.log"), certificate


def _home(folder: Path) -> tuple[Account | None, Path]:
    """Neither server runs as root: a folder of the user that the embedded one runs as."""
    account = database_account(folder)
    make_private(folder, account)
    if account:
        let_in(account, folder)
    return account, folder


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _takes_connections(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True
