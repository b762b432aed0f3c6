"""The words that made-up data are made of. All people, hosts and addresses are reserved examples."""

from typing import NamedTuple

SECRET = "stand-in-secret"  # noqa: S105 - a marker, no secret

PLATFORMS = ("python", "javascript", "java", "ruby", "go", "csharp")
PROJECT_NAMES = ("backend", "frontend", "mobile", "billing", "search", "worker")
TEAMS = (("platform", "Platform"), ("growth", "Growth"), ("on-call", "On call"))
ENVIRONMENTS = ("production", "staging", "development")
HIDDEN_ENVIRONMENT = "legacy-qa"
LEVELS = ("error", "error", "error", "error", "error", "warning", "info", "fatal", "debug")

# Versions that real organizations have and that break careless URL building.
ODD_VERSIONS = ("nightly build #4 (beta)", "feature/search@2.0.0+exp.1", "Prüfstand [x64]")


class Failure(NamedTuple):
    """A way to fail: an exception, and where it is thrown."""

    exception: str
    value: str
    module: str
    function: str
    filename: str


FAILURES = (
    Failure(
        "ValueError",
        "invalid literal for int() with base 10: 'n/a'",
        "shop.cart",
        "parse_total",
        "shop/cart.py",
    ),
    Failure("KeyError", "'currency'", "shop.prices", "convert", "shop/prices.py"),
    Failure("TimeoutError", "upstream did not answer in 30 s", "gateway.http", "fetch", "gateway/http.py"),
    Failure(
        "IntegrityError",
        "duplicate key value violates unique constraint",
        "store.rows",
        "insert",
        "store/rows.py",
    ),
    Failure(
        "TypeError", "Cannot read properties of undefined (reading 'id')", "app.list", "render", "app/list.js"
    ),
    Failure(
        "ConnectionError", "connection refused by 192.0.2.10:5432", "store.pool", "acquire", "store/pool.py"
    ),
    Failure("PermissionError", "role viewer may not write", "access.rules", "check", "access/rules.py"),
    Failure("RangeError", "Maximum call stack size exceeded", "app.tree", "walk", "app/tree.js"),
    Failure(
        "UnicodeDecodeError",
        "invalid start byte 0xff in position 0",
        "inbox.parse",
        "decode",
        "inbox/parse.py",
    ),
    Failure("NullPointerException", "order is null", "example.orders", "ship", "example/Orders.java"),
    Failure("AssertionError", "balance below zero", "ledger.book", "post", "ledger/book.py"),
    Failure(
        "HTTPError",
        "503 Service Unavailable for https://api.example.net/v2",
        "gateway.client",
        "call",
        "gateway/client.py",
    ),
)

MESSAGES = (
    "Slow query took longer than expected",
    "Cache warmed twice",
    "Retry budget spent",
    "Job left the queue late",
)

BROWSERS = (("Chrome", "138.0.0"), ("Firefox", "140.0"), ("Safari", "18.5"), ("Edge", "138.0.0"))
SYSTEMS = (("Linux", "6.8.0"), ("Windows", "11"), ("macOS", "15.5"), ("Android", "15"))
RUNTIMES = (("CPython", "3.12.4"), ("node", "22.4.0"), ("OpenJDK", "21.0.3"))
DEVICES = ("Example Phone 3", "Example Tablet", "Example Desk")
CITIES = (("DE", "Berlin", "Germany"), ("US", "Springfield", "United States"), ("AU", "Perth", "Australia"))
PATHS = ("/cart", "/checkout", "/orders/17", "/search", "/account", "/api/v2/items")
PACKAGES = (
    "certifi",
    "idna",
    "urllib3",
    "requests",
    "sqlparse",
    "attrs",
    "click",
    "jinja2",
    "markupsafe",
    "redis",
)

EXTRA_TAGS = (
    ("cluster", ("north", "south", "east")),
    ("customer.plan", ("free", "team", "business")),
    ("feature.flag", ("on", "off")),
    ("shard", ("0", "1", "2", "3")),
    ("locale", ("en", "de", "fr", "pt")),
    ("handled", ("yes", "no")),
    ("mechanism", ("logging", "generic", "wsgi", "onerror")),
    ("queue", ("default", "mail", "export")),
    ("zone", ("a", "b", "c")),
    ("build", ("2041", "2042", "2043")),
    ("experiment", ("control", "variant")),
    ("theme", ("light", "dark")),
    ("screen", ("small", "large")),
    ("worker", ("w1", "w2", "w3", "w4")),
    ("tenant", ("alpha", "beta", "gamma")),
)
