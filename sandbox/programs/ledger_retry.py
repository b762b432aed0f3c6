"""Payments are booked in a SQLite ledger that an auditor keeps locking: try, wait, try again, give up."""

import logging
import random
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import sentry_sdk

from sandbox.programs._report import launch

log = logging.getLogger("shop.ledger")

ATTEMPTS = 3
WAIT = 0.002
TABLE = "CREATE TABLE payments (reference TEXT UNIQUE, cents INTEGER)"


class LedgerBusyError(Exception):
    pass


@dataclass(frozen=True)
class Payment:
    reference: str
    cents: int
    user: int
    audited_for: int  # attempts during which the auditor is reading


def payments(rng: random.Random) -> list[Payment]:
    """A day's payments: most are booked at once, some meet the auditor, some were sent twice."""
    references = [f"INV-{number}" for number in rng.sample(range(1000, 9999), k=12)]
    busy = rng.randint(3, 4)
    waits = [ATTEMPTS] * busy + [rng.randint(1, ATTEMPTS - 1) for _ in range(3)]
    waits += [0] * (len(references) - len(waits))
    sent = [
        Payment(reference, rng.randint(100, 90_000), rng.randint(1, 9), wait)
        for reference, wait in zip(references, waits, strict=True)
    ]
    twice = rng.sample(sent[busy:], k=rng.randint(3, 4))
    rng.shuffle(sent)
    return sent + [Payment(payment.reference, payment.cents, payment.user, 0) for payment in twice]


def connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, timeout=0, isolation_level=None)


def book(ledger: sqlite3.Connection, payment: Payment) -> None:
    ledger.execute("INSERT INTO payments VALUES (?, ?)", (payment.reference, payment.cents))


def book_with_patience(ledger: sqlite3.Connection, auditor: sqlite3.Connection, payment: Payment) -> None:
    if payment.audited_for:
        auditor.execute("BEGIN EXCLUSIVE")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            book(ledger, payment)
        except sqlite3.OperationalError as error:
            sentry_sdk.add_breadcrumb(
                category="retry",
                message=f"attempt {attempt}: {error}",
                level="warning",
                data={"wait": WAIT * attempt},
            )
            time.sleep(WAIT * attempt)
            if attempt == ATTEMPTS:
                raise LedgerBusyError(f"{payment.reference} not booked after {ATTEMPTS} attempts") from error
        else:
            log.info("%s booked at attempt %d", payment.reference, attempt)
            return
        finally:
            if auditor.in_transaction and attempt >= payment.audited_for:
                auditor.execute("COMMIT")


def run(rng: random.Random) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder, "ledger.db")
        with closing(connect(file)) as ledger, closing(connect(file)) as auditor:
            ledger.execute(TABLE)
            for payment in payments(rng):
                with sentry_sdk.isolation_scope() as scope:
                    scope.set_user({"id": str(payment.user), "email": f"user{payment.user}@example.com"})
                    scope.set_tag("amount", "small" if payment.cents < 10_000 else "large")
                    log.info("%s arrived", payment.reference)
                    try:
                        book_with_patience(ledger, auditor, payment)
                    except LedgerBusyError as error:
                        scope.fingerprint = ["ledger", "busy"]
                        sentry_sdk.capture_exception(error)
                    except sqlite3.IntegrityError as error:
                        sentry_sdk.capture_exception(error)


if __name__ == "__main__":
    launch("sandbox.programs.ledger_retry")
