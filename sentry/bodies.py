"""How the body of an answer is read: bounded in size and time, whatever the server sends."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import requests
import urllib3

from . import errors
from .refusals import header_number, path_of
from .settings import MEGABYTE, READ_BYTES, TIMEOUTS_PER_ANSWER

ENCODING = "gzip"
"""The only way of packing that is asked for: no other can be unpacked in bounded pieces on every machine."""

_GZIP = 16
"""Added to zlib's window size: the body is gzip."""

_MEMBER = b"\x1f"
"""What each member of a gzip body begins with."""

_OLD_READ_BYTES = 10_240
"""Read at once where urllib3 is older than 2.2 and waits until so much has come."""


def read_body(response: requests.Response, megabytes: int, seconds: float) -> None:
    """Read the body, which requests itself would do without a bound and in pieces of 10 KB.

    Args:
        response: An answer whose body is still to be read, asked for with ``stream=True``.
        megabytes: How large it may be, packed or unpacked.
        seconds: How long that may take: the time-out of a request begins anew with each byte.

    Raises:
        SentryResponseError: It is larger; the same request would bring the same again.
        SentryConnectionError: It took longer.
        urllib3.exceptions.HTTPError: The connection broke.
        zlib.error: It cannot be unpacked.
    """
    try:
        body = _body(response, megabytes, seconds)
    except BaseException:
        response.close()  # else its connection would be missing in the pool
        raise
    response._content = body
    response._content_consumed = True  # type: ignore[attr-defined]


def _body(response: requests.Response, megabytes: int, seconds: float) -> bytes:
    most, until = megabytes * MEGABYTE, time.monotonic() + seconds
    if (header_number(response, "Content-Length") or 0) > most:
        raise _too_large(response, megabytes)
    parts, size = list[bytes](), 0
    for part in _unpacked(response):
        parts.append(part)
        size += len(part)
        if size > most:
            raise _too_large(response, megabytes)
        if time.monotonic() > until:
            raise _too_slow(response, seconds)
    return b"".join(parts)


def _unpacked(response: requests.Response) -> Iterator[bytes]:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    pieces = _pieces(response.raw)
    if encoding in ("", "identity"):
        yield from pieces
    elif encoding in (ENCODING, "x-gzip"):
        yield from _gunzip(pieces)
    else:
        raise zlib.error("packed in a way that was not asked for")


def _pieces(raw: urllib3.HTTPResponse) -> Iterator[bytes]:
    """The body as it comes: ``read1`` gives what is there, so that a byte now and then is noticed."""
    reads_what_is_there = hasattr(raw, "read1")
    read = raw.read1 if reads_what_is_there else raw.read
    amount = READ_BYTES if reads_what_is_there else _OLD_READ_BYTES
    while piece := read(amount, decode_content=False):
        yield piece


def _gunzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack in parts of bounded size: a body of 1 MB may unpack to 1 GB.

    A part may be empty: what unpacks to nothing takes time as well.

    See https://www.rfc-editor.org/rfc/rfc1952.
    """
    unpacker = None
    for piece in pieces:
        packed = piece
        while packed:
            if unpacker is None or (unpacker.eof and packed.startswith(_MEMBER)):
                unpacker = zlib.decompressobj(zlib.MAX_WBITS | _GZIP)
            elif unpacker.eof:  # what is no further member only fills up
                yield b""
                break
            yield unpacker.decompress(packed, READ_BYTES)
            packed = unpacker.unconsumed_tail or unpacker.unused_data
    if unpacker is not None:
        yield unpacker.flush()
        if not unpacker.eof:
            raise urllib3.exceptions.ProtocolError("The packed body ends too early.")


def _too_large(response: requests.Response, megabytes: int) -> errors.SentryResponseError:
    path = path_of(response.url)
    error = errors.SentryResponseError(
        f"The answer to {path} is larger than {megabytes:,} MB, the most that is read of one answer. If that is "
        "right, set max_response_megabytes higher; else look at what stands before Sentry, whose answers are "
        "smaller.",
        path=path,
        status=response.status_code,
    )
    error.retry = False
    return error


def _too_slow(response: requests.Response, seconds: float) -> errors.SentryConnectionError:
    path = path_of(response.url)
    return errors.SentryConnectionError(
        f"{urlsplit(response.url).netloc} did not send its whole answer within {seconds:g} s ({path}). Check "
        "the network and the proxy settings, or set request_timeout higher under [runtime] (a body may take "
        f"{TIMEOUTS_PER_ANSWER} times as long), then run again.",
        path=path,
    )
