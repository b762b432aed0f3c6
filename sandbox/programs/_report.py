"""What every program shares: its arguments, the SDK's set-up, and the line printed at the end."""

import argparse
import logging
import random
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.argv import ArgvIntegration
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.transport import HttpTransport
from sentry_sdk.utils import BadDsn, Dsn

from sandbox.programs import ENVIRONMENT, RELEASE

FLUSH_SECONDS = 10.0

Job = Callable[[random.Random], None]


class CountingTransport(HttpTransport):
    """The SDK's own transport, which also knows how many events it took and how many it lost."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.taken: list[str | None] = []
        self.lost: list[str] = []
        super().__init__(options)

    def capture_envelope(self, envelope: Envelope) -> None:
        if envelope.get_event() is not None:
            self.taken.append(envelope.headers.get("event_id"))
        super().capture_envelope(envelope)

    def on_dropped_event(self, reason: str) -> None:
        self.lost.append(reason)


def launch(module: str) -> None:
    """Run the `run` of a program under its real module name (frames would say `__main__` otherwise)."""
    job: Job = import_module(module).run
    name = module.rpartition(".")[2]
    options = _arguments(name)
    transport = _start_sdk(name, options)
    job(random.Random(options.seed))
    print(f"{name}: {_flush(name, transport)} events sent")


def _arguments(name: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m sandbox.programs.{name}")
    parser.add_argument("--dsn", required=True, help="where the events go; nothing else is contacted")
    parser.add_argument("--release", default=RELEASE, help="release the events belong to (%(default)s)")
    parser.add_argument("--environment", default=ENVIRONMENT, help="environment (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same failures (%(default)s)")
    options = parser.parse_args()
    try:
        Dsn(options.dsn)
    except BadDsn as error:
        parser.error(f"--dsn {options.dsn!r} is no DSN: {error}")
    return options


def _start_sdk(name: str, options: argparse.Namespace) -> CountingTransport:
    # `send_default_pii` stays unset: that is off, and setting it at all is deprecated in the SDK.
    sentry_sdk.init(
        dsn=options.dsn,
        release=options.release,
        environment=options.environment,
        server_name="worker-1",
        transport=CountingTransport,
        traces_sample_rate=0,
        send_client_reports=False,
        auto_session_tracking=False,
        auto_enabling_integrations=False,
        # The first puts the command line (with the DSN) into each event, the second talks at exit.
        disabled_integrations=[ArgvIntegration, AtexitIntegration],
        in_app_include=["sandbox.programs"],
        shutdown_timeout=FLUSH_SECONDS,
        # Only the DSN is contacted, whatever proxies and side-cars the environment names.
        http_proxy="",
        https_proxy="",
        spotlight=False,
        debug=False,
        # A level means gzip, which every receiver can read; else Brotli, where it happens to be installed.
        _experiments={"transport_compression_level": 6},
    )
    sentry_sdk.set_tag("job", name)
    # INFO lines become breadcrumbs; none of them needs to reach the terminal.
    logging.basicConfig(level=logging.INFO, handlers=[logging.NullHandler()])
    transport = sentry_sdk.get_client().transport
    assert isinstance(transport, CountingTransport)
    return transport


def _flush(name: str, transport: CountingTransport) -> int:
    began = time.monotonic()
    sentry_sdk.flush()
    if time.monotonic() - began >= FLUSH_SECONDS:
        sys.exit(f"{name}: the server behind the DSN did not take all events in {FLUSH_SECONDS:.0f} s")
    if transport.lost:
        reasons = ", ".join(sorted(set(transport.lost)))
        sys.exit(f"{name}: {len(transport.lost)} of {len(transport.taken)} events did not arrive: {reasons}")
    return len(transport.taken)
