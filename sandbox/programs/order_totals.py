"""The evening's orders are billed: each failure is passed upward, `raise ... from`, in words of its level."""

import random
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import sentry_sdk

from sandbox.programs._report import launch

PRICES = {
    "teapot": Decimal("24.90"),
    "cup": Decimal("6.50"),
    "saucer": Decimal("4.20"),
    "spoon": Decimal("2.10"),
}
NOT_LISTED = ("sugar bowl", "tea cosy", "tray")
RATES = {"EUR": Fraction(1), "USD": Fraction(108, 100), "CHF": Fraction(95, 100)}
OPENING_RATES = {"DKK": Fraction(0), "SEK": Fraction(0), "NOK": Fraction(0)}  # the bank fills them at nine
VOUCHERS = ("SAVE1O", "SAVEten", "SAVE", "SAVE5%")


class PriceMissingError(LookupError):
    pass


class VoucherError(ValueError):
    pass


class OrderNotBilledError(Exception):
    pass


@dataclass(frozen=True)
class Order:
    number: int
    items: tuple[str, ...]
    currency: str = "EUR"
    voucher: str = "SAVE0"


def evening(rng: random.Random) -> list[Order]:
    """Orders of one evening: most are fine, some name a product, a currency or a voucher nobody knows."""

    def basket(*more: str) -> tuple[str, ...]:
        return (*rng.choices(list(PRICES), k=rng.randint(1, 3)), *more)

    plain = [(basket(), rng.choice(list(RATES)), "SAVE10") for _ in range(6)]
    unlisted = [(basket(rng.choice(NOT_LISTED)), "EUR", "SAVE0") for _ in range(rng.randint(3, 4))]
    foreign = [(basket(), rng.choice(list(OPENING_RATES)), "SAVE0") for _ in range(rng.randint(3, 4))]
    vouchers = [(basket(), "EUR", rng.choice(VOUCHERS)) for _ in range(rng.randint(3, 4))]
    orders = plain + unlisted + foreign + vouchers
    rng.shuffle(orders)
    return [Order(number, *order) for number, order in enumerate(orders, start=1001)]


def price_of(product: str) -> Decimal:
    try:
        return PRICES[product]
    except KeyError as error:
        raise PriceMissingError(f"no price for {product}") from error


def discount(voucher: str) -> Decimal:
    try:
        return Decimal(int(voucher.removeprefix("SAVE"))) / 100
    except ValueError as error:
        raise VoucherError(f"voucher {voucher} has no percentage") from error


def rate_of(currency: str) -> Fraction:
    try:
        return RATES[currency]
    except KeyError:
        return 1 / OPENING_RATES[currency]  # fails while the first failure is being handled: no `from`


def bill(order: Order) -> Decimal:
    try:
        total = sum((price_of(product) for product in order.items), Decimal(0))
    except PriceMissingError as error:
        raise OrderNotBilledError(f"order {order.number} cannot be billed") from error
    total -= total * discount(order.voucher)
    return total / Decimal(float(rate_of(order.currency)))


def run(rng: random.Random) -> None:
    for order in evening(rng):
        customer = rng.randint(1, 9)
        with sentry_sdk.isolation_scope() as scope:
            scope.set_user({"id": str(customer), "email": f"user{customer}@example.com"})
            scope.set_tag("currency", order.currency)
            sentry_sdk.add_breadcrumb(category="order", message=f"{len(order.items)} items", level="info")
            sentry_sdk.add_breadcrumb(category="voucher", message=order.voucher, level="info")
            try:
                bill(order)
            except (OrderNotBilledError, VoucherError, ArithmeticError) as error:
                sentry_sdk.capture_exception(error)


if __name__ == "__main__":
    launch("sandbox.programs.order_totals")
