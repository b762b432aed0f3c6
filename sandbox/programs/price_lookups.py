"""Suppliers are asked for prices, all at once: some never answer, some answer half a sentence."""

import asyncio
import json
import random
from collections.abc import Sequence

import sentry_sdk

from sandbox.programs._report import launch

PATIENCE = 0.02
PRODUCTS = ("anchor", "buoy", "cleat", "dinghy", "ensign", "fender", "gangway", "hawser", "lantern", "mast")


class Supplier:
    """One supplier: `answers` holds what it says about a product, and nothing for what it ignores."""

    def __init__(self, name: str, answers: dict[str, str]) -> None:
        self.name = name
        self.answers = answers

    async def ask(self, product: str) -> str:
        if product not in self.answers:
            await asyncio.Event().wait()  # a line on which nobody ever picks up
        await asyncio.sleep(0)
        return self.answers[product]


def chandler(rng: random.Random) -> Supplier:
    """A supplier who ignores three or four products and is cut short on as many others."""
    products = rng.sample(PRODUCTS, k=len(PRODUCTS))
    silent, cut = rng.randint(3, 4), rng.randint(3, 4)
    answers = {
        product: json.dumps({"product": product, "price": rng.randint(5, 400)})
        for product in products[silent:]
    }
    for product in products[silent : silent + cut]:
        answers[product] = answers[product][: rng.randint(2, 12)]
    return Supplier(rng.choice(("harbour-supplies", "rope-and-tar")), answers)


async def look_up(supplier: Supplier, product: str) -> int:
    async with asyncio.timeout(PATIENCE):
        answer = await supplier.ask(product)
    return int(json.loads(answer)["price"])


async def price_list(supplier: Supplier) -> None:
    """One look-up per product; a failed one does not stop the others."""
    results = await asyncio.gather(
        *(look_up(supplier, product) for product in PRODUCTS), return_exceptions=True
    )
    for product, result in zip(PRODUCTS, results, strict=True):
        if isinstance(result, BaseException):
            with sentry_sdk.new_scope() as scope:
                scope.set_tag("supplier", supplier.name)
                scope.set_extra("product", product)
                scope.capture_exception(result)


async def quote(supplier: Supplier, basket: Sequence[str]) -> int:
    """A quote needs every price, so one failed look-up ends them all and the group says which."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(look_up(supplier, product), name=product) for product in basket]
    return sum(task.result() for task in tasks)


async def quotes(supplier: Supplier, rng: random.Random) -> None:
    unclear = [product for product, answer in supplier.answers.items() if not answer.endswith("}")]
    for customer in range(1, rng.randint(2, 3) + 1):
        with sentry_sdk.isolation_scope() as scope:
            scope.set_user({"id": str(customer), "email": f"user{customer}@example.com"})
            scope.set_tag("supplier", supplier.name)
            try:
                await quote(supplier, rng.sample(unclear, k=2))
            except* json.JSONDecodeError as group:
                sentry_sdk.capture_exception(group)


async def ask_around(rng: random.Random) -> None:
    supplier = chandler(rng)
    await price_list(supplier)
    await quotes(supplier, rng)


def run(rng: random.Random) -> None:
    asyncio.run(ask_around(rng))


if __name__ == "__main__":
    launch("sandbox.programs.price_lookups")
