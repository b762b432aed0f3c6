"""The relay: where SDKs send events; not part of the web API and not below `/api/0`."""

import re
import zlib
from collections import Counter

import orjson
from starlette.requests import Request

from .answers import Answer, json_answer
from .envelope import BadEnvelopeError, parse_envelope
from .errors import ApiError
from .ingest import accept_event
from .journal import Journal
from .model import Project
from .switches import Switches
from .world import World

MAX_EVENT = 1 << 20
MAX_ENVELOPE = 200 << 20

_PAIR = re.compile(r"(\w+)\s*=\s*([^,\s]+)")
_DSN = re.compile(r"https?://([^:@/]+)(?::[^@/]*)?@.*/(\d+)/?")


def _refused(status: int, detail: str, *causes: str, headers: dict[str, str] | None = None) -> ApiError:
    body = {"detail": detail, **({"causes": list(causes)} if causes else {})}
    return ApiError(json_answer(body, status=status, headers={"X-Sentry-Error": detail, **(headers or {})}))


class Relay:
    """Takes envelopes and events in. `counts` tells how many items of each kind came."""

    def __init__(self, world: World, switches: Switches, journal: Journal | None = None) -> None:
        self._world = world
        self._journal = journal
        self._limit = switches.ingest_limit
        self._accepted = 0
        self.counts: Counter[str] = Counter()

    def envelope(self, project_id: str, request: Request, body: bytes) -> Answer:
        """Take an envelope; only its event items are kept, the others are counted."""
        raw = _decoded(request, body, MAX_ENVELOPE)
        try:
            envelope = parse_envelope(raw)
        except BadEnvelopeError as problem:
            raise _refused(400, "bad envelope", str(problem)) from None
        dsn = envelope.header.get("dsn")
        project = self._project(project_id, request, dsn if isinstance(dsn, str) else None)
        self._check_limit()
        event_id: str | None = None
        for kind, payload in envelope.items:
            self.counts[kind] += 1
            if kind == "event":
                header_id = envelope.header.get("event_id")
                event_id = self._take(project, payload, header_id if isinstance(header_id, str) else None)
        return json_answer({"id": event_id} if event_id else {})

    def store(self, project_id: str, request: Request, body: bytes) -> Answer:
        """Take a single event, as SDKs did before envelopes."""
        project = self._project(project_id, request, None)
        raw = _decoded(request, body, MAX_EVENT)
        self._check_limit()
        self.counts["event"] += 1
        return json_answer({"id": self._take(project, raw, None)})

    def _take(self, project: Project, raw: bytes, header_id: str | None) -> str:
        if len(raw) > MAX_EVENT:
            raise _refused(413, "event submission rejected", "payload exceeded size limits")
        try:
            payload = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise _refused(400, "failed to parse event", "invalid JSON") from None
        if not isinstance(payload, dict):
            raise _refused(400, "failed to parse event", "event is no object")
        known = len(project.by_id)
        event = accept_event(self._world, project, payload, header_id)
        if self._journal and len(project.by_id) > known:
            self._journal.note(event, payload)
        return event.event_id

    def _check_limit(self) -> None:
        self._accepted += 1
        if self._limit is not None and self._accepted > self._limit:
            limits = {"Retry-After": "60", "X-Sentry-Rate-Limits": "60:error;default:organization:quota"}
            raise _refused(429, "event submission rejected due to rate limiting", headers=limits)

    def _project(self, project_id: str, request: Request, dsn: str | None) -> Project:
        """The project a request may send to.

        Raises:
            ApiError: 401 without a key, or with keys in two forms; 400 for an id that is none; 403 for a
                key that is not the project's.
        """
        keys = self._keys(request, dsn)
        if not keys:
            raise _refused(401, "missing authorization information")
        if len(keys) > 1:
            raise _refused(401, "multiple authorization payloads detected")
        if not project_id.isdigit():
            raise _refused(400, "invalid project identifier")
        try:
            project = self._world.project(project_id)
        except KeyError:
            raise _refused(403, "event submission rejected with_reason: ProjectId") from None
        if keys[0] != project.public_key:
            raise _refused(403, "event submission rejected with_reason: ProjectId")
        return project

    @staticmethod
    def _keys(request: Request, dsn: str | None) -> list[str]:
        """The keys sent, one for each form; an envelope may repeat its DSN beside another form."""
        authorization = request.headers.get("authorization", "")
        headers = [request.headers.get("x-sentry-auth", "")]
        if authorization.lower().startswith("sentry "):
            headers.append(authorization)
        forms = [dict(_PAIR.findall(text)).get("sentry_key") for text in headers if text]
        forms.append(request.query_params.get("sentry_key"))
        sent = [key for key in forms if key]
        match = _DSN.match(dsn) if dsn else None
        return sent or ([match[1]] if match else [])


def _decoded(request: Request, body: bytes, limit: int) -> bytes:
    encoding = request.headers.get("content-encoding", "identity").lower()
    windows = {"gzip": 31, "deflate": 15}
    if encoding in windows:
        try:
            body = zlib.decompressobj(windows[encoding]).decompress(body, limit + 1)
        except zlib.error:
            raise _refused(400, "could not decode the body", encoding) from None
    elif encoding != "identity":
        raise _refused(415, "unsupported content encoding", encoding)
    if len(body) > limit:
        raise _refused(413, "payload exceeded size limits")
    return body
