"""How long a server may take to begin its answer, however it sends it.

A time-out begins anew with each byte that comes: a server, or what stands before it, that sends the head of its
answer byte by byte, or one ``100 Continue`` after the other, would hold a thread for ever. The body has a bound of
its own, see ``bodies``.
"""

from __future__ import annotations

import io
import math
import socket
import time
from http.client import HTTPResponse
from types import MappingProxyType
from typing import Any

import requests
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from .settings import TIMEOUTS_PER_ANSWER


class BoundedAdapter(requests.adapters.HTTPAdapter):
    """Connections on which the head of an answer may take a few times the request's time-out, not more."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Make the pools of connections through a proxy; those through SOCKS are not bounded."""
        manager: Any = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager


class _BoundedReader(io.RawIOBase):
    """What a socket sends, until a moment."""

    def __init__(self, raw: io.RawIOBase, until: float) -> None:
        self.until = until
        self._raw = raw

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self.until:
            raise TimeoutError("timed out")
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        timeout = sock.gettimeout()
        until = math.inf if timeout is None else time.monotonic() + TIMEOUTS_PER_ANSWER * timeout
        self._reader = _BoundedReader(self.fp.detach(), until)
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        super().begin()
        self._reader.until = math.inf


class _Connection(HTTPConnection):
    response_class = _BoundedResponse


class _SecureConnection(HTTPSConnection):
    response_class = _BoundedResponse


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = MappingProxyType({"http": _Pool, "https": _SecurePool})
