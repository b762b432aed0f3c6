"""The stand-in as tests use it: a server in a thread, on a free port of this machine alone."""

import asyncio
import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from . import event_records
from .access import NOBODY, READ_SCOPES, Desk, TokenKind
from .call import Call, Site
from .derived import key_secret
from .exchange import Drop, Failure, RecordedRequest
from .faults import Faults, Injector
from .gate import Gate, Hook
from .ingested import Ingested
from .journal import Journal
from .model import Member, Project
from .params import Params
from .relay import Relay
from .switches import Switches
from .throttle import Throttle
from .web import Rewrite, Web
from .world import World

HOST = "127.0.0.1"
START_TIMEOUT = 10.0
INTERNAL_ERROR = b"<html><body>Internal Server Error</body></html>"


class _Protocol(H11Protocol):
    """Lets the application break a connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    """A server that stops at once, where the stock one looks every 0.1 s whether it should."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    async def main_loop(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self.on_tick(0)
        self._ready.set()
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for listener in sockets or []:
            listener.close()
        await asyncio.sleep(0)

    def stop(self) -> None:
        """End the main loop, from another thread."""
        if self._loop and self._stop:
            self._loop.call_soon_threadsafe(self._stop.set)


class Sandbox:
    """A local Sentry.

    Args:
        world: What it knows; default: a made-up one whose clock is the real time.
        switches: How it behaves.
        port: Where it listens on this machine; default: a free port.
        record_bodies: Whether `requests` keep the bodies sent.
        journal: A file that keeps the events sent to the relay, for a server started again with it.

    Attributes:
        world: What it knows; may be changed while it serves.
        switches: How it behaves.
        url: Its base URL, with the path prefix if there is one.
        region_urls: On a server with regions: the base URL of each.
        token: A personal token with every read scope. Its user is a member of all projects but the
            last, so that what a caller gets without `project=-1` is not everything.
    """

    def __init__(
        self,
        world: World | None = None,
        switches: Switches | None = None,
        *,
        port: int = 0,
        record_bodies: bool = False,
        journal: Path | None = None,
    ) -> None:
        self.world = world or World.build()
        self.switches = switches or Switches()
        self.world.whole_seconds = self.switches.whole_seconds
        if self.switches.old_server:  # There a project knows an environment without a name.
            for project in self.world.projects[:1]:
                self.world.add_environment("", project)
        self._sockets = [_listener(port)]
        self._desk = Desk(seed=len(self.world.all_projects) + 17)
        self.url = self._url_of(self._sockets[0])
        self.region_urls = self._open_regions()
        self._site = Site(self.url, self.region_urls.get(self.switches.region or "", self.url))
        self.token = self.add_token(member_of=[project.id for project in self._joined()])
        kept = Journal(journal) if journal else None
        if kept:
            kept.replay(self.world)
        self._relay = Relay(self.world, self.switches, kept)
        self._throttle = Throttle(self.switches, self.world.clock)
        self._gate = self._make_gate(record_bodies=record_bodies)
        self.inject(self.switches.faults)
        self._ready = threading.Event()
        self._server = _Server(self._config(), self._ready)
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)

    def _url_of(self, listener: socket.socket) -> str:
        return f"http://{HOST}:{listener.getsockname()[1]}{self.switches.path_prefix}"

    def _open_regions(self) -> dict[str, str]:
        if self.switches.region is None:
            return {}
        listeners = {name: _listener(0) for name in ("us", "de")}
        self._sockets += listeners.values()
        return {name: self._url_of(listener) for name, listener in listeners.items()}

    def _joined(self) -> list[Project]:
        projects = self.world.projects
        return projects[:-1] if len(projects) > 1 else projects

    def _make_gate(self, *, record_bodies: bool) -> Gate:
        ports = {int(url.split(":")[2].split("/")[0]): name for name, url in self.region_urls.items()}
        self._web = Web(self.world, self.switches, self._desk, self._site, ports, self._relay, self._throttle)
        return Gate(self._web.app(), self.world.clock, self.switches.path_prefix, record_bodies=record_bodies)

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self._gate,
            http=_Protocol,
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=120,
        )

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._server.serve(sockets=self._sockets))

    def start(self) -> "Sandbox":
        """Serve, in a thread of its own."""
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT):
            raise RuntimeError("The stand-in did not start; is the port free?")
        return self

    def stop(self) -> None:
        """Stop serving; requests under way are broken off, and what a hook raised is raised now."""
        if self._thread.is_alive():
            self._server.stop()
            self._thread.join(START_TIMEOUT)
        error, self._gate.hook_error = self._gate.hook_error, None
        if error:
            raise error

    def __enter__(self) -> "Sandbox":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
            return
        with contextlib.suppress(Exception):  # What broke the test itself is the better news.
            self.stop()

    def add_token(
        self,
        *,
        kind: TokenKind = "user",
        scopes: Iterable[str] = READ_SCOPES,
        member_of: Iterable[str] | None = None,
        user: Member | None = None,
    ) -> str:
        """A new token.

        Args:
            kind: "user"; "integration", a bot that is a member of all projects and lists no
                organizations; "org", which can only ever do what `org:ci` allows.
            scopes: What it may do.
            member_of: Ids of the projects its user is a member of; None: of all.
            user: Whose it is, when it is a user's; default: the first member who took the invitation up.
        """
        region = self.switches.region
        claims = {
            "iat": self.world.now.timestamp(),
            "url": self.url,
            "region_url": self.region_urls[region] if region else self.url,
            "org": self.world.organization.slug,
        }
        joined = (member for member in self.world.members if not member.pending)
        owner = user or next(joined, None)
        user_id = (owner.user_id if owner else None) or "nobody"
        return self._desk.issue(kind, scopes, member_of, claims, user_id)

    def dsn(self, project: "str | Project", *, legacy: bool = False) -> str:
        """The address SDKs send the events of a project to; before 2018 it held a secret, too."""
        found = self.world.project(project)
        base = self.region_urls.get(self.switches.region or "", self.url)
        key = f"{found.public_key}:{key_secret(found, active=True)}" if legacy else found.public_key
        return f"{base.replace('://', f'://{key}@', 1)}/{found.id}"

    @property
    def ingested(self) -> Ingested:
        """How many items of each kind the relay has taken; `events` holds each event as it was sent."""
        with self.world.lock:
            return self._relay.ingested.copy()

    def limit_ingest(
        self, *categories: str, seconds: float = 60, reason: str = "", told_on_200: bool = False
    ) -> None:
        """Let the relay keep some categories of data out, by a quota of the organization.

        An envelope with nothing else is answered 429, with `Retry-After` and `X-Sentry-Rate-Limits`; one with
        something else as well, too, although the rest of it is taken. What is kept out is lost.

        Args:
            categories: "error", "transaction", "session", "attachment", "monitor", and so on; none: all.
            seconds: For how long. `unlimit_ingest` ends it before.
            reason: The code of the reason in the header.
            told_on_200: Whether answers to what is taken tell of the quota as well.
        """
        self._relay.pressure.limit(categories, seconds, reason, told_on_200=told_on_200)

    def overload_ingest(self, n: int = 1) -> None:
        """Let the relay turn the next well-formed requests away with 503."""
        self._relay.pressure.overloaded = n

    def unlimit_ingest(self) -> None:
        """Let the relay take everything again."""
        self._relay.pressure.clear()

    def warm_up(self) -> None:
        """Make what lists show of the events now: the first reader then waits no longer than the next ones.

        It takes some seconds and 2 GB for 80,000 events.
        """
        call = Call(self.world, self.switches, self._site, NOBODY, Params([]), {}, "")
        with self.world.lock:
            for event in self.world.events:
                event_records.simple(call, event)
                event_records.full(call, event)

    def others_use(self, view: str, per_window: int) -> None:
        """Let somebody else send so many requests in each window of a view, all as soon as it begins.

        The limits of a user count the person's browser, too: there is less left for each caller of the view,
        and 429 comes sooner.

        Args:
            view: As `Switches.rate_limits` names it; one without a limit of its own stands for "default".
            per_window: How many requests; 0: none.
        """
        self._throttle.others_use(view, per_window)

    def clear_others(self) -> None:
        """Let nobody else send requests any more."""
        self._throttle.clear_others()

    @property
    def requests(self) -> list[RecordedRequest]:
        """What was asked and answered, in the order of the answers."""
        return self._gate.requests

    def clear_requests(self) -> None:
        """Forget the requests recorded."""
        self._gate.clear()

    def on_request(self, callback: Hook) -> None:
        """Call something before each request of the API is answered; it may change the world."""
        self._gate.hooks.append(callback)

    def rewrite(self, function: Rewrite) -> None:
        """Put other bodies in place of successful ones, on the way out: the world stays as it is.

        Args:
            function: Gets the path and the body, gives the body that is sent.
        """
        self._web.rewrites.append(function)

    def clear_hooks(self) -> None:
        """Call nothing any more, send bodies as they are, and forget failures still to come."""
        self._web.rewrites.clear()
        self._gate.hooks.clear()
        self._gate.failures.clear()

    def inject(self, faults: Faults | None) -> None:
        """Let requests fail by chance from here on, counted anew; None: no more of them do."""
        self._gate.injector = Injector(faults, self.world.clock) if faults else None

    @property
    def faults_injected(self) -> Counter[str]:
        """How often each kind of fault has happened since the faults were chosen."""
        return self._gate.injector.injected.copy() if self._gate.injector else Counter()

    def fail_next(
        self,
        n: int = 1,
        *,
        status: int = 500,
        body: bytes = INTERNAL_ERROR,
        headers: Mapping[str, str] | None = None,
        path_contains: str = "",
        content_type: str = "text/html",
        drop: Drop = "none",
    ) -> None:
        """Let the next requests fail.

        Args:
            n: How many.
            status: The status they get.
            body: The body they get.
            headers: Headers beside the usual ones.
            path_contains: Only requests whose path contains this.
            content_type: The content type of the body.
            drop: "before" closes the connection without an answer; "body" closes it after half of the
                body, whose whole length was announced.
        """
        self._gate.failures.append(
            Failure(n, status, body, dict(headers or {}), path_contains, content_type, drop)
        )


def _listener(port: int) -> socket.socket:
    # With the protocol named, asyncio switches Nagle's delay off.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen(256)
    return listener
