"""The nightly report knows nothing of Sentry: it only logs, and the SDK's logging integration listens."""

import graphlib
import logging
import random
import statistics

from sandbox.programs._report import launch

log = logging.getLogger("shop.report")

SHOPS = ("Ashford", "Brookside", "Carlton", "Dunmore", "Eastgate", "Fairview", "Grange", "Hillcrest")


def takings(rng: random.Random) -> dict[str, list[int]]:
    """What each shop took at its tills today; a shop that stayed closed took nothing."""
    closed = rng.sample(SHOPS, k=rng.randint(3, 4))
    return {shop: [] if shop in closed else rng.choices(range(5, 90), k=7) for shop in SHOPS}


def departments(rng: random.Random) -> dict[str, list[str]]:
    """Department -> those it adds up. Somebody has filed a whole department under its own shelf."""
    shelf, department = rng.choice((("spoons", "kitchen"), ("lamps", "living")))
    parts = {"house": ["kitchen", "living"], "kitchen": ["spoons", "pans"], "living": ["lamps", "rugs"]}
    return parts | {shelf: [department]}


def report_sales(sales: dict[str, list[int]]) -> None:
    for shop, amounts in sales.items():
        try:
            middle = statistics.median(amounts)
        except statistics.StatisticsError:
            log.error("No median for %s", shop, exc_info=True, extra={"receipts": len(amounts)})
        else:
            log.info("%s: the median receipt is %d", shop, middle)


def report_departments(parts: dict[str, list[str]]) -> None:
    try:
        for department in graphlib.TopologicalSorter(parts).static_order():
            log.info("%s is added up", department)
    except graphlib.CycleError:
        log.critical("No totals: a department contains itself", exc_info=True)


def report_stock_takes(rng: random.Random) -> None:
    for shop in SHOPS:
        log.info("%s was counted", shop)
    for shop in rng.sample(SHOPS, k=rng.randint(2, 3)):
        log.error("The stock-take of %s is %d days old", shop, rng.randint(40, 90))


def run(rng: random.Random) -> None:
    report_sales(takings(rng))
    report_departments(departments(rng))
    report_stock_takes(rng)


if __name__ == "__main__":
    launch("sandbox.programs.nightly_report")
