"""The relay: where SDKs send events; not part of the web API and not below `/api/0`.

https://develop.sentry.dev/sdk/data-model/envelopes/
"""

import zlib
from collections import Counter
from typing import NamedTuple

import orjson
from starlette.requests import Request

from .answers import Answer, json_answer
from .backpressure import Backpressure, Quota, category_of
from .dice import event_id as new_event_id
from .envelope import BadEnvelopeError, Envelope, parse_envelope, read_event_id
from .errors import ApiError, refused
from .ingest import accept_event
from .ingested import Ingested, SentEvent
from .journal import Journal
from .model import Project
from .relay_auth import permitted, read_dsn, request_key
from .switches import Switches
from .world import World

MAX_EVENT = 1 << 20
MAX_ENVELOPE = 200 << 20
MAX_SESSIONS = 100
QUOTA_SECONDS = 60

# Bytes of all items of these kinds in one envelope.
_SIZES = {
    ("event", "transaction"): MAX_EVENT,
    ("attachment",): 100 << 20,
    ("check_in",): 100 << 10,
    ("profile",): 50 << 20,
}
_NEEDS_EVENT = ("event", "attachment", "user_report")
_TOO_LARGE = (
    "envelope exceeded size limits for type '{}' (https://develop.sentry.dev/sdk/envelopes/#size-limits)"
)


class _Sorted(NamedTuple):
    """The items of an envelope that may pass, and the quotas that keep the others out."""

    passed: list[tuple[str, bytes]]
    quotas: list[Quota]


class Relay:
    """Takes envelopes and events in. `ingested` tells what came, `pressure` what is refused."""

    def __init__(self, world: World, switches: Switches, journal: Journal | None = None) -> None:
        self._world = world
        self._journal = journal
        self._limit = switches.ingest_limit
        self._accepted = 0
        self.ingested = Ingested()
        self.pressure = Backpressure(world.clock)

    def envelope(self, project_id: str, request: Request, body: bytes) -> Answer:
        """Take an envelope; only its event items are kept, the others are counted."""
        with _Counting(self.ingested):
            key = request_key(request)
            envelope = _parsed(_decoded(request, body, MAX_ENVELOPE))
            dsn = read_dsn(envelope.header.get("dsn"))
            return self._handle(permitted(self._world, project_id, key, dsn), envelope)

    def store(self, project_id: str, request: Request, body: bytes) -> Answer:
        """Take a single event, as SDKs did before envelopes."""
        with _Counting(self.ingested):
            project = permitted(self._world, project_id, request_key(request), None)
            raw = _decoded(request, body, MAX_EVENT)
            event_id = read_event_id(_document(raw).get("event_id"))
            return self._handle(project, Envelope({}, event_id, [("event", raw)]))

    def _handle(self, project: Project, envelope: Envelope) -> Answer:
        """Take what no quota keeps out.

        Where some items are kept out the answer is 429, although the others are taken.
        """
        self.pressure.check_load()
        if any(kind in _NEEDS_EVENT for kind, _ in envelope.items) and envelope.event_id is None:
            envelope.event_id = new_event_id(self._world.random)
        sorted_items = self._sort(envelope.items)
        _check_sizes(sorted_items.passed)
        # All are read before the first is kept: an envelope is taken as a whole or not at all.
        documents = {raw: _document(raw) for kind, raw in sorted_items.passed if kind == "event"}
        for kind, raw in sorted_items.passed:
            self.ingested[kind] += 1
            duplicate = False
            if kind == "event" and envelope.event_id:
                duplicate = self._keep(project, raw, documents[raw], envelope.event_id)
            self.ingested.outcomes["duplicate" if duplicate else "accepted", kind] += 1
        if sorted_items.quotas:
            raise self.pressure.refusal(sorted_items.quotas)
        return json_answer(
            {"id": envelope.event_id} if envelope.event_id else {}, headers=self.pressure.told_on_200()
        )

    def _keep(self, project: Project, raw: bytes, document: dict[str, object], event_id: str) -> bool:
        """File an event; tells whether the project had one of this id, which then stays as it is."""
        known = event_id in project.by_id
        event = accept_event(self._world, project, document, event_id)
        self.ingested.events.append(SentEvent(project, event_id, raw, known))
        if self._journal and not known:
            self._journal.note(event, document)
        return known

    def _sort(self, items: list[tuple[str, bytes]]) -> _Sorted:
        """Keep out what a quota is used up for, and attachments together with their event."""
        used_up = self._used_up()
        found = _Sorted([], [])
        kinds = [kind for kind, _ in items]
        for kind, raw in items:
            deciding = "event" if kind == "attachment" and "event" in kinds else kind
            over = [
                *used_up,
                *self.pressure.over(category_of(kind)),
                *self.pressure.over(category_of(deciding)),
            ]
            if over:
                found.quotas.extend(over)
                self.ingested.outcomes["rate_limited", kind] += 1
            else:
                found.passed.append((kind, raw))
        return found

    def _used_up(self) -> list[Quota]:
        """The quota of the switch `ingest_limit`, once there were so many envelopes."""
        self._accepted += 1
        if self._limit is None or self._accepted <= self._limit:
            return []
        until = self._world.clock.ticks() + QUOTA_SECONDS
        return [Quota(("error", "default"), until, "quota")]


class _Counting:
    """Counts the requests that are refused or turned away as a whole."""

    def __init__(self, ingested: Ingested) -> None:
        self._ingested = ingested

    def __enter__(self) -> None:
        """Nothing has to be begun."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ApiError) and error.answer.status != 429:
            overloaded = error.answer.status == 503
            self._ingested.outcomes["overloaded" if overloaded else "refused", ""] += 1


def _parsed(raw: bytes) -> Envelope:
    try:
        return parse_envelope(raw)
    except BadEnvelopeError as problem:
        raise refused(400, "invalid event envelope", *map(str, problem.args)) from None


def _document(raw: bytes) -> dict[str, object]:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise refused(400, "invalid JSON data", str(error)) from None
    if not isinstance(document, dict):
        raise refused(400, "invalid JSON data", "an event is an object")
    event_id = document.get("event_id")
    if event_id is not None and read_event_id(event_id) is None:
        raise refused(400, "invalid JSON data", "event_id is no UUID")
    return document


def _check_sizes(items: list[tuple[str, bytes]]) -> None:
    """Refuse more than the relay takes at once; one envelope holds one event.

    Raises:
        ApiError: 413.
    """
    sizes: Counter[str] = Counter()
    for kind, raw in items:
        sizes[kind] += len(raw)
    for kinds, most in _SIZES.items():
        if sum(sizes[kind] for kind in kinds) > most:
            raise refused(413, _TOO_LARGE.format(kinds[0]))
    counts = Counter(kind for kind, _ in items)
    for kind, allowed in (("event", 1), ("transaction", 1), ("session", MAX_SESSIONS)):
        if counts[kind] > allowed:
            raise refused(413, _TOO_LARGE.format(kind))


def _decoded(request: Request, body: bytes, limit: int) -> bytes:
    """The body, unpacked. Brotli and Zstandard, which a real relay knows too, are refused as unknown."""
    encoding = request.headers.get("content-encoding", "identity").lower()
    windows = {"gzip": 31, "deflate": 15}
    if encoding in windows:
        body = _unpacked(body, windows[encoding], limit)
    elif encoding not in {"identity", ""}:
        raise refused(415, "unsupported content encoding", encoding)
    if len(body) > limit:
        raise refused(413, "payload reached size limit", "length limit exceeded")
    if not body:
        raise refused(400, "empty request body")
    return body


def _unpacked(body: bytes, window: int, limit: int) -> bytes:
    unpacker = zlib.decompressobj(window)
    try:
        unpacked = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise refused(400, "failed to read request body", str(error)) from None
    if not unpacker.eof and len(unpacked) <= limit:
        raise refused(400, "failed to read request body", "unexpected end of file")
    return unpacked
