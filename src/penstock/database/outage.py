"""What PostgreSQL, a pooler before it or TLS says when it refuses us, in a sentence that says what to do."""

from __future__ import annotations

import psycopg

from penstock.errors import ServiceUnavailable

NOT_PREPARED = (psycopg.errors.InvalidSqlStatementName, psycopg.errors.DuplicatePreparedStatement)
"""A statement that this connection has prepared is not where the connection now leads."""
_NO_CONNECTION_LEFT = (
    "The database has no connection left. Raise its max_connections, lower PENSTOCK_DATABASE_POOL_SIZE,"
    " or put a pooler before it"
)
_ADVICE = {
    "server does not support SSL, but SSL was required": (
        "The database server speaks no TLS, which sslmode in PENSTOCK_DATABASE_URL asks for."
        " Switch it on there (ssl = on), or see that this is the server you mean"
    ),
    "certificate verify failed": (
        "The certificate of the database server is not from an authority that sslrootcert in PENSTOCK_DATABASE_URL"
        " names, or it has expired. Give the server's authority there, or see that this is the server you mean"
    ),
    "does not match host name": (
        "The certificate of the database server is for another name than PENSTOCK_DATABASE_URL has."
        " Use the name in the certificate, or see that this is the server you mean"
    ),
    "root certificate file": (
        "The file of authorities that sslrootcert in PENSTOCK_DATABASE_URL names is not there or cannot be read"
    ),
    "unsupported startup parameter": (
        "The pooler refuses a parameter of PENSTOCK_DATABASE_URL."
        " Remove it, or name it in the pooler's ignore_startup_parameters"
    ),
    "connection slots are reserved": _NO_CONNECTION_LEFT,
    "too many clients already": _NO_CONNECTION_LEFT,
    "too many connections for": _NO_CONNECTION_LEFT,
    "no more connections allowed": (
        "The pooler takes no more clients. Raise its max_client_conn, or lower PENSTOCK_DATABASE_POOL_SIZE"
    ),
    "query_wait_timeout": ("The pooler had no connection to the database for too long. Raise its default_pool_size"),
    "prepared statement": (
        "A pooler that was not recognised as one hands transactions to different connections."
        " Set PENSTOCK_DATABASE_POOLER=transaction"
    ),
}
"""What a message contains, and what that means. Where it is in another language, the server's own words must do."""


def unavailable(error: Exception) -> ServiceUnavailable:
    """The error to raise from `error`: what is wrong, what to do where we know, and the server's own words."""
    words = " ".join(str(error).split())
    for sign, sentence in _ADVICE.items():
        if sign in words:
            return ServiceUnavailable(f"{sentence}: {words}")
    return ServiceUnavailable(f"The database does not answer: {words}".strip())
