"""The server as an ASGI application: from a request on the wire to an endpoint, and back."""

import asyncio
import time
from collections.abc import Callable
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .access import NOBODY, Desk
from .answers import Answer, json_answer
from .api import ENDPOINTS
from .call import Call, Site
from .endpoint import Endpoint
from .errors import ApiError, nothing_here, unauthorized
from .params import Params
from .relay import Relay
from .switches import Switches
from .throttle import Throttle, Ticket
from .world import World

Rewrite = Callable[[str, bytes], bytes]
"""Makes another body of the one that a path was to be answered with."""

DEPRECATED_SINCE = "2026-05-14T00:00:00+00:00"


class Web:
    """Routes requests to endpoints, with what is the same for all of them."""

    def __init__(
        self,
        world: World,
        switches: Switches,
        desk: Desk,
        site: Site,
        silos: dict[int, str],
        relay: Relay,
        throttle: Throttle,
    ) -> None:
        self._world = world
        self._switches = switches
        self._desk = desk
        self._site = site
        self._silos = silos
        self._throttle = throttle
        self._relay = relay
        self.rewrites: list[Rewrite] = []

    def app(self) -> Starlette:
        """The application."""
        prefix = self._switches.path_prefix
        routes = [
            Route(f"{prefix}/api/0{end.path}", self._serve(end), methods=[end.method]) for end in ENDPOINTS
        ]
        routes += [
            Route(
                f"{prefix}/api/{{project}}/envelope/", self._ingest(self._relay.envelope), methods=["POST"]
            ),
            Route(f"{prefix}/api/{{project}}/store/", self._ingest(self._relay.store), methods=["POST"]),
            Route(f"{prefix}/__truth__", self._truth),
        ]
        app = Starlette(routes=routes, exception_handlers={404: _nothing_here})
        app.router.redirect_slashes = False
        return app

    def _serve(self, endpoint: Endpoint) -> Callable[[Request], object]:
        async def serve(request: Request) -> Response:
            body = b"" if endpoint.method == "GET" else await request.body()
            access = self._desk.peek(request.headers) or NOBODY
            ticket = self._throttle.enter(access.owner, endpoint.view, endpoint.method)
            try:
                answer = ticket.refusal or await self._in_time(endpoint, request, body)
            finally:
                # Given back before the answer leaves: who waits for it may ask again at once.
                self._throttle.leave(ticket)
            return _response(self._rewritten(request, answer), self._extra_headers(endpoint, ticket))

        return serve

    def _rewritten(self, request: Request, answer: Answer) -> Answer:
        for rewrite in self.rewrites if answer.status == 200 else ():
            body = rewrite(request.scope["path"], answer.body)
            answer = Answer(body, answer.status, answer.headers, answer.content_type)
        return answer

    async def _in_time(self, endpoint: Endpoint, request: Request, body: bytes) -> Answer:
        """The answer, handed out no sooner than requests take here."""
        started = time.monotonic()
        try:
            answer = self._answer(endpoint, request, body)
        except ApiError as refusal:
            answer = refusal.answer
        if self._switches.latency:
            await asyncio.sleep(started + self._switches.latency - time.monotonic())
        return answer

    def _answer(self, endpoint: Endpoint, request: Request, body: bytes) -> Answer:
        path: str = request.scope["path"]
        if any(fragment in path for fragment in self._switches.brown_out):
            return _brown_out(endpoint)
        if endpoint.newer and self._switches.old_server:
            raise nothing_here()
        self._check_silo(endpoint, request)
        access = self._desk.authenticate(request.headers) if endpoint.scopes else None
        if access is None:
            access = self._desk.peek(request.headers) or NOBODY
        if endpoint.wants_user and access.kind == "org":
            raise unauthorized("Authentication credentials were not provided.")
        access.require(endpoint.scopes)
        if endpoint.feature in self._switches.features_off:
            raise nothing_here()
        params = Params(parse_qsl(request.url.query, keep_blank_values=True))
        call = Call(
            self._world,
            self._switches,
            self._site,
            access,
            params,
            request.path_params,
            path,
            body,
            request.headers.get("content-type", ""),
        )
        with self._world.lock:
            return endpoint.handler(call)

    def _check_silo(self, endpoint: Endpoint, request: Request) -> None:
        """Refuse what another silo would have to answer.

        The control silo passes on what names the organization; the rest it sends to the US region. The
        list of organizations is answered everywhere.
        """
        region = self._switches.region
        if region is None or endpoint.path in {"/", "/organizations/"}:
            return
        port = request.scope["server"][1]
        silo = self._silos.get(port, "control")
        reached = silo if silo != "control" else region if endpoint.in_organization else "us"
        if reached != region:
            raise nothing_here()

    def _extra_headers(self, endpoint: Endpoint, ticket: Ticket) -> dict[str, str]:
        if endpoint.replacement and not self._switches.old_server:
            return {**ticket.headers, **_deprecation(endpoint)}
        return ticket.headers

    def _ingest(self, accept: Callable[[str, Request, bytes], Answer]) -> Callable[[Request], object]:
        async def serve(request: Request) -> Response:
            body = await request.body()
            try:
                with self._world.lock:
                    answer = accept(request.path_params["project"], request, body)
            except ApiError as refusal:
                answer = refusal.answer
            return _response(answer, {})

        return serve

    async def _truth(self, request: Request) -> Response:  # noqa: ARG002 - the shape of an endpoint
        return _response(json_answer(self._world.truth()), {})


async def _nothing_here(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """An unknown path, or one without its slash at the end: no body."""
    headers = error.headers if isinstance(error, HTTPException) else None
    return Response(b"", 404, headers=headers)


def _deprecation(endpoint: Endpoint) -> dict[str, str]:
    return {
        "X-Sentry-Deprecation-Date": DEPRECATED_SINCE,
        "X-Sentry-Replacement-Endpoint": endpoint.replacement or "",
    }


def _brown_out(endpoint: Endpoint) -> Answer:
    gone = {"message": "This API no longer exists."}
    return json_answer(gone, status=410, headers=_deprecation(endpoint))


def _response(answer: Answer, headers: dict[str, str]) -> Response:
    return Response(answer.body, answer.status, {**answer.headers, **headers}, answer.content_type)
