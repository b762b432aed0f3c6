"""A supplier's delivery note is imported: good rows go into stock, bad rows are reported and skipped."""

import csv
import logging
import random
from decimal import Decimal

import sentry_sdk

from sandbox.programs._report import launch

log = logging.getLogger("shop.stock")

SHELF = ("apples", "bread", "cocoa", "dates", "eggs", "flour", "ginger", "honey", "jam", "kale")
NOT_QUANTITIES = ("a dozen", "6 pcs", "", "1O", "three")
NOT_PRICES = ("2.9O", "4 each", "n/a", "1.2.3", "free")
NOT_UTF8 = ("crème", "müsli", "purée")  # written by an old spreadsheet, in Latin-1


def delivery_note(rng: random.Random) -> list[bytes]:
    """Rows as the supplier typed them: product, quantity, unit price."""
    good = [f"{name},{rng.randint(1, 48)},{rng.randint(1, 900) / 100}" for name in SHELF]
    wrong_quantity = [
        f"{rng.choice(SHELF)},{rng.choice(NOT_QUANTITIES)},1.20" for _ in range(rng.randint(3, 4))
    ]
    wrong_price = [f"{rng.choice(SHELF)},5,{rng.choice(NOT_PRICES)}" for _ in range(rng.randint(3, 4))]
    rows = [row.encode() for row in good + wrong_quantity + wrong_price]
    rows += [f"{rng.choice(NOT_UTF8)},8,2.40".encode("latin-1") for _ in range(rng.randint(3, 4))]
    rng.shuffle(rows)
    return rows


def quantity(text: str) -> int:
    return int(text)


def price(text: str) -> Decimal:
    return Decimal(text)


def take_into_stock(line: bytes, stock: dict[str, Decimal]) -> None:
    product, how_many, unit_price = next(csv.reader([line.decode("utf-8")]))
    stock[product] = quantity(how_many) * price(unit_price)


def run(rng: random.Random) -> None:
    clerk = rng.randint(1, 9)
    sentry_sdk.set_user({"id": str(clerk), "email": f"user{clerk}@example.com"})
    sentry_sdk.set_tag("supplier", rng.choice(("northfield", "old-mill")))
    rows = delivery_note(rng)
    stock: dict[str, Decimal] = {}
    skipped = 0
    for number, line in enumerate(rows, start=1):
        try:
            take_into_stock(line, stock)
        except (ValueError, ArithmeticError) as error:
            skipped += 1
            with sentry_sdk.new_scope() as scope:
                scope.set_context("row", {"number": number, "text": line.decode("utf-8", "replace")})
                scope.capture_exception(error)
        else:
            log.info("Row %d is in stock", number)

    with sentry_sdk.new_scope() as scope:
        scope.fingerprint = ["delivery-note", "rows-skipped"]
        scope.capture_message(f"{skipped} of {len(rows)} rows were skipped", level="warning")


if __name__ == "__main__":
    launch("sandbox.programs.csv_import")
