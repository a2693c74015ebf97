"""Every failure that a user can see, as one tree with codes.

    PenstockError                      code, message, transient
    ├── FileError                      the File itself is at fault; trying again changes nothing
    │   ├── UnsupportedFormat          unsupported_format
    │   ├── PasswordProtected          password_protected
    │   ├── CorruptFile                corrupt_file
    │   ├── NoText                     no_text
    │   ├── TooLarge                   too_large
    │   ├── ObjectMissing              object_missing
    │   └── EmbeddingRefused           embedding_refused
    ├── ParserError                    the parser child died of this File; tried again, then failed
    │   ├── ParserTimeout              parser_timeout
    │   ├── ParserMemory               parser_memory
    │   └── ParserCrashed              parser_crashed
    ├── GaveUp                         gave_up: the last attempt met an error nobody foresaw
    ├── ServiceUnavailable             service_unavailable: database, queue, store or model is away
    │   ├── RateLimited                rate_limited: the embedding service asked us to slow down
    │   └── WorkFolderFull             work_folder_full: no room for the files that are being read
    ├── RequestError                   the caller asked for something that cannot be
    │   ├── NotFound                   not_found
    │   ├── InvalidRequest             invalid_request
    │   ├── Unreadable                 unreadable: a path given to `penstock add` cannot be read
    │   ├── EventUnusable              event_unusable: a message about the bucket that says nothing we can follow
    │   │   └── ObjectForbidden        object_forbidden: the store does not let us look at an object
    │   └── Conflict                   conflict
    │       └── CannotPresign          presigning_unsupported: the object store is a folder
    └── SetupError                     this installation cannot start as it is
        ├── InvalidSettings            invalid_settings
        ├── ModelUnavailable           model_unavailable
        ├── DataFolderError            data_folder
        ├── AlreadyRunning             already_running
        ├── PortTaken                  port_taken
        └── SchemaMismatch             schema_mismatch

`code` is part of the outside interface and never changes; `message` is one or two sentences that
say what was wrong, with which file where there is one, and what to do.
"""

from __future__ import annotations

import errno


class PenstockError(Exception):
    """Penstock met an error that nobody foresaw; the log has the details.

    A failure with a code. The first line of its class's docstring is the default message, as here.
    """

    code = "internal_error"
    transient = False
    """Whether the same work may succeed if it is tried again later."""
    burns_attempt = True
    """Whether an attempt that ended this way counts towards the last one."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or self.code).splitlines()[0]
        super().__init__(self.message)


class FileError(PenstockError):
    """The file cannot be used."""

    code = "file_error"


class UnsupportedFormat(FileError):
    """The file is of a format that Penstock does not read; convert it to one it does."""

    code = "unsupported_format"


class PasswordProtected(FileError):
    """The file is protected by a password; remove the protection and hand it in again."""

    code = "password_protected"


class CorruptFile(FileError):
    """The file is damaged or incomplete; open it in its own program and save it again."""

    code = "corrupt_file"


class NoText(FileError):
    """The file holds no text; if it is a scan it needs text recognition first."""

    code = "no_text"


class TooLarge(FileError):
    """The file is larger than this installation accepts."""

    code = "too_large"


class ObjectMissing(FileError):
    """The file's object is not in the object store; hand the file in again."""

    code = "object_missing"


class EmbeddingRefused(FileError):
    """The embedding service refuses a piece of the file's text."""

    code = "embedding_refused"


class ParserError(PenstockError):
    """The parser died of the file."""

    code = "parser_error"
    transient = True


class ParserTimeout(ParserError):
    """Parsing took longer than the limit; raise PENSTOCK_PARSING_TIMEOUT_SECONDS or split the file."""

    code = "parser_timeout"


class ParserMemory(ParserError):
    """Parsing needed more memory than the limit; raise PENSTOCK_PARSING_MEMORY_MB or split the file."""

    code = "parser_memory"


class ParserCrashed(ParserError):
    """The parser crashed on the file; the file is probably damaged."""

    code = "parser_crashed"


class GaveUp(PenstockError):
    """Every attempt met an unexpected error; the workers' log has the details."""

    code = "gave_up"


class ServiceUnavailable(PenstockError):
    """A service that Penstock needs does not answer; the work goes on when it is back."""

    code = "service_unavailable"
    transient = True
    burns_attempt = False

    def __init__(self, message: str | None = None, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the service asked us to wait, if it did."""


class RateLimited(ServiceUnavailable):
    """The embedding service asks for fewer requests; the work goes on more slowly."""

    code = "rate_limited"


class WorkFolderFull(ServiceUnavailable):
    """The disk of the temporary folder, where files are read, is full; the work goes on when there is room."""

    code = "work_folder_full"


class RequestError(PenstockError):
    """The request cannot be carried out."""

    code = "request_error"


class NotFound(RequestError):
    """There is no such thing here."""

    code = "not_found"


class InvalidRequest(RequestError):
    """The request is not of the form that this call takes."""

    code = "invalid_request"


class Unreadable(RequestError):
    """The file cannot be read on this machine; look at its permissions."""

    code = "unreadable"


class Conflict(RequestError):
    """The request does not fit the present state; look at it and try again."""

    code = "conflict"


class CannotPresign(Conflict):
    """The object store is a folder, of which no URL can be given away; send and get the bytes through the API."""

    code = "presigning_unsupported"


class EventUnusable(RequestError):
    """A message on the queue of bucket events is none that Penstock can follow; look at the bucket's notification."""

    code = "event_unusable"


class ObjectForbidden(EventUnusable):
    """The object store does not let Penstock look at an object; it needs s3:GetObject and s3:ListBucket."""

    code = "object_forbidden"


class SetupError(PenstockError):
    """This installation cannot start as it is."""

    code = "setup_error"
    exit_status = 2
    """What the command line exits with."""


class InvalidSettings(SetupError):
    """A setting is wrong."""

    code = "invalid_settings"


class ModelUnavailable(SetupError):
    """The embedding model is not to be found."""

    code = "model_unavailable"
    exit_status = 3


class DataFolderError(SetupError):
    """The data folder cannot be used."""

    code = "data_folder"
    exit_status = 4


class AlreadyRunning(SetupError):
    """Penstock already runs on this data folder."""

    code = "already_running"
    exit_status = 5


class PortTaken(SetupError):
    """Another program listens on this port."""

    code = "port_taken"
    exit_status = 6


class SchemaMismatch(SetupError):
    """The database was written by another version of Penstock."""

    code = "schema_mismatch"
    exit_status = 7


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_full(error: BaseException) -> bool:
    """Whether an error, or one behind it, is that of a full disk."""
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, OSError) and behind.errno in _FULL:
            return True
        behind = behind.__cause__ or behind.__context__
    return False


def error_with_code(code: str, message: str) -> PenstockError:
    """The error of class `code`, as it came from another process. Unknown codes become `GaveUp`."""
    pending: list[type[PenstockError]] = [PenstockError]
    while pending:
        kind = pending.pop()
        if kind.code == code:
            return kind(message)
        pending.extend(kind.__subclasses__())
    return GaveUp(f"{code}: {message}")
