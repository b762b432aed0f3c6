"""Writes docs/tables.md from the catalogue and docs/privacy.md from the policy: python docs/generate.py."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from sentry.endpoints import GROUPS, TABLES  # noqa: E402 - found by the line above
from sentry.masks import Kind  # noqa: E402
from sentry.names import (  # noqa: E402
    HARMLESS_FACTS,
    HARMLESS_HEADERS,
    PERSONAL_KEYS,
    PERSONAL_PAIRS,
    PERSONAL_WORDS,
)
from sentry.policy import POLICY, Fields, Shape  # noqa: E402
from sentry.table import Table  # noqa: E402

PAGE = ROOT / "docs" / "tables.md"

PRIVACY_PAGE = ROOT / "docs" / "privacy.md"

INTRODUCTION = """# Tables

<!-- Written by docs/generate.py from sentry/endpoints.py: run `make docs` after a change there. -->

Names are those in the destination. Beside the columns listed, every table has dlt's `_dlt_load_id` (the load that
wrote the row) and `_dlt_id`, and fields that Sentry adds after this page was written. Ids are text, times are UTC,
JSON is what varies in shape. **Scope** is what the token needs. Tables marked *by default* are loaded when you name
none; the others by `--resources NAME ...` (or `--resources all`), or with `source.with_resources("NAME")`.

A table that the token, the plan or the server does not give is skipped with a warning; the table `_sentry_skipped`
says which (`table_name`), why (`reason`) and when last (`skipped_at`).

Nothing is removed when Sentry no longer lists it. The rows that the last full listing still saw (a run that ended
with `failed` lines saw not all of them; run again first):

```sql
SELECT slug FROM projects WHERE _dlt_load_id = (SELECT max(_dlt_load_id) FROM projects)
```
"""


def page() -> str:
    """The whole page."""
    return (
        "\n".join([INTRODUCTION, *_contents(), *(line for group in GROUPS for line in _group(group))]) + "\n"
    )


def _contents() -> Iterator[str]:
    for group, tables in GROUPS.items():
        links = ", ".join(f"[{table.name}](#{table.name})" for table in tables)
        yield f"* **{group}**: {links}"
    yield ""


def _group(group: str) -> Iterator[str]:
    yield f"## {group}\n"
    for table in GROUPS[group]:
        yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    yield f"### {table.name}\n"
    yield f"One row is {table.row}.\n"
    yield f"* Key: {', '.join(f'`{name}`' for name in table.key)}"
    yield f"* Loaded: {'by default; ' if table.default else ''}{table.loading}"
    yield f"* Scope: `{table.scope}`"
    if table.docs:
        yield f"* Endpoint: [{table.path}]({table.docs})"
    else:
        yield f"* Endpoint: `{table.path}`, which Sentry does not publish. {table.unpublished}."
    left_out = sorted(table.secrets)
    if left_out:
        yield f"* Never loaded, because secret: {', '.join(f'`{name}`' for name in left_out)}"
    if table.only_declared:
        yield "* Only the columns below are loaded: the answer holds secrets."
    yield "\n| Column | Type | What it says |\n|---|---|---|"
    for column in table.columns:
        yield f"| `{column.name}` | {column.type} | {column.description} |"
    yield f"\n```sql\n{table.example}\n```\n"


PRIVACY_INTRODUCTION = """# Personal data and secrets

<!-- Written by docs/generate.py from sentry/policy.py: run `make docs` after a change there. -->

Sentry knows your colleagues and your customers: who they are, where they are, what they were doing when
something broke. The setting `personal_data` says what of that is loaded:

| Mode | Personal values | For |
|---|---|---|
| `keep`, the default | as they are | a warehouse that may hold what Sentry holds |
| `hash` | keyed hashes in their place | counting, grouping and joining by person without knowing who it is |
| `drop` | nothing in their place: the column is null, the field is gone | a warehouse that must not hold them |

```toml
# .dlt/config.toml
[sources.sentry]
personal_data = "hash"

# .dlt/secrets.toml
[sources.sentry]
personal_data_key = "..."
```

Rows are changed while they are read, before anything is written: neither load packages nor state, logs or
traces hold what is hashed or dropped. `repair` and `--late-check` read the same settings; who sets them in code
gives `repair` the same arguments as `sentry_source`.

## What never gets through

In every mode, `keep` included, without a setting:

* Of the **request** of an event: cookies, environment, and headers that carry credentials (`Authorization`,
  `Cookie`, `Set-Cookie`, `X-Api-Key`, `X-CSRF-Token`, all with token, secret, session, signature, password...
  in their name); so in breadcrumbs, spans and the response context. Of its body, fields of a form or of an
  object with such names.
* Of **URLs** and query strings (of requests, breadcrumbs, the tag `url`, replays, `Referer`): user name and
  password, and parameters with such names, `code`, `state`, `key` and `sig` among them.
* **Environment variables and command lines** that SDKs put into extra data or contexts (`env`, `environ`,
  `process_env`, `sys.argv`...), one level down included.
* **Secrets of Sentry's**: see *never loaded* in [tables.md](tables.md).

Variables of stack frames, bodies that came as JSON text, messages and tags are loaded as they are in the mode
`keep`, with whatever your program put into them.

## Hashes

A hash is BLAKE2b of the value as UTF-8 text, with the key, 16 bytes, in hex. Blanks around a value do not
count; e-mail addresses (whatever field they stand in), names, user names and IP addresses are put into small
letters before. So the same person has the same hash in every table, column and JSON field, and joins work as
before:

```sql
SELECT m.user_id, count(*) AS issues
FROM issues AS i JOIN members AS m ON m.user_id = i.assigned_to_id GROUP BY m.user_id
```

To find a person, for example one who asks what you hold, hash what you know of that person:

```python
import hashlib

value = "ada@example.com"  # small letters; ids of users as they are
print(hashlib.blake2b(value.encode(), key=b"the personal_data_key", digest_size=16).hexdigest())
```

The **tag** `user` keeps its first half (`id:`, `email:`, `username:`, `ip:`), behind it stands the hash that
the user's own field has. Null and empty text stay as they are. A list or object is hashed leaf by leaf and
keeps its names of fields; where these are data themselves (variables of a frame, the body of a request), one
hash stands for the whole.

**The key** has 16 to 64 characters. Without it nobody can find out whose a hash is; with it, anybody can try
e-mail addresses one after the other, so keep it like a password, out of the warehouse and its backups. Throw it
away, and nobody finds out any more. It is needed to hash; and to drop, in `project_users`, and in `tag_values`
and `issue_tag_values` for personal tags: there the personal value tells the rows apart, so it is hashed and not
dropped. Without a key these tables then end with an error that says so.

**Changing the key or the mode** changes what is loaded from then on. Rows loaded before stay as they were,
until a later run reads them again: lists with each run, issues with each sweep, events never. Rows whose key is
hashed get another key, so the old ones stay beside the new ones. To have one state, load everything again
(`--full-refresh`; what Sentry has forgotten is lost then), or update the old rows in the warehouse.

## What is not covered

* Text that nobody can know to be personal: names of files (`/home/ada/shop.py`), functions, source lines around a
  frame, keys of tags, names of fields, loggers, releases, environments, teams, projects, monitors, dashboards and
  alerts; repositories and integrations that are named after a person.
* Values of tags whose key says nothing: see the list of words below.
* Fields that Sentry adds after this page was written, at the top of a row. (Below `user`, `metadata`,
  `contexts`, `context`, accounts and unknown kinds of `entries`, what is not known to be harmless counts as
  personal.)
* What the commands that print issues and events show: what Sentry shows, without secrets.
* Sentry itself, and what its own data scrubbing leaves: https://docs.sentry.io/security-legal-pii/scrubbing/.

Ids of memberships, issues, events, replays and traces stay: without access to Sentry they name nobody.

**To find more**, search the destination for what you know to be personal: an e-mail address of your own domain,
or

```sql
SELECT event_id FROM events WHERE regexp_matches(CAST(contexts AS VARCHAR), '[a-z0-9.]+@[a-z0-9.-]+')
```

What you find, hash or drop in `sentry/policy.py`: a line there is all it takes, and this page follows with
`make docs`. With `add_map` a script of your own changes rows without that.
"""

KINDS: dict[Kind, tuple[str, str, str]] = {
    Kind.ID: ("stays", "hashed", "dropped"),
    Kind.EMAIL: ("stays", "hashed, in small letters", "dropped"),
    Kind.NAME: ("stays", "hashed, in small letters", "dropped"),
    Kind.IP: ("stays", "hashed, in small letters", "dropped"),
    Kind.TEXT: ("stays", "hashed, leaf by leaf", "dropped"),
    Kind.WHOLE: ("stays", "one hash of the whole", "dropped"),
    Kind.BODY: ("credentials go", "one hash of the whole", "dropped"),
    Kind.ADDRESS: ("credentials go", "hashed without credentials", "dropped"),
    Kind.PARAMETERS: ("credentials go", "values hashed, without credentials", "dropped"),
    Kind.HEADERS: (
        "credentials go",
        "harmless ones stay, credentials go, others are hashed",
        "harmless ones stay",
    ),
    Kind.FACTS: (
        "cookies and credentials go",
        "harmless ones stay, cookies and credentials go, others are hashed",
        "harmless ones stay",
    ),
    Kind.EXTRA: ("environment and command line go", "these go, others are hashed, leaf by leaf", "dropped"),
    Kind.OWNER_ID: ("stays", "hashed, unless it is a team's", "dropped, unless it is a team's"),
    Kind.TAG_VALUE: (
        "credentials go from `url`",
        "hashed if the key is personal",
        "dropped if the key is personal",
    ),
    Kind.USER_TAG: ("stays", "hashed behind `id:`...", "dropped"),
    Kind.TAGS: (
        "credentials go from `url`",
        "values of personal keys are hashed",
        "values of personal keys are null",
    ),
    Kind.TOP_VALUES: ("stays", "hashed if the key is personal", "dropped if the key is personal"),
    Kind.SEARCH: (
        "stays",
        "hashed are values of personal keys, and e-mail addresses",
        "terms with personal keys go, and e-mail addresses",
    ),
    Kind.REMARKS: (
        "what they quote of cookies, headers and environment goes",
        "what they quote is hashed",
        "what they quote goes",
    ),
    Kind.CREDENTIAL: ("dropped", "dropped", "dropped"),
    Kind.HARMLESS: ("stays", "stays", "stays"),
}


def privacy_page() -> str:
    """The whole page on personal data."""
    shapes: dict[str, Shape] = {}
    for fields in POLICY.values():
        _note_shapes(fields, shapes)
    lines = [PRIVACY_INTRODUCTION, *_kinds(), *_word_lists()]
    lines.append("## Tables\n")
    for name, fields in POLICY.items():
        lines += [f"### {name}\n", *_fields(fields)]
    lines += _paragraph(f"Nothing personal is in {_code(set(TABLES) - set(POLICY))}.")
    lines.append("## What stands in several tables\n")
    for shape in shapes.values():
        says = shape.says[0].upper() + shape.says[1:]
        lines += [f"### {shape.name.capitalize()}\n", f"{says}.\n", *_fields(shape.fields)]
    return "\n".join(lines).rstrip() + "\n"


def _kinds() -> Iterator[str]:
    yield "## Kinds\n"
    yield "| Kind | `keep` | `hash` | `drop` |\n|---|---|---|---|"
    for kind, (keep, hashed, drop) in KINDS.items():
        yield f"| {kind.value} | {keep} | {hashed} | {drop} |"
    yield ""


def _word_lists() -> Iterator[str]:
    pairs = _code(" ".join(pair) for pair in PERSONAL_PAIRS)
    alone = _code(" ".join(key) for key in PERSONAL_KEYS)
    yield from _paragraph(
        "The key of a **tag** is personal if one of these is a word of it (`user` is one of `user.id`, `userId`, "
        f"`user-id`): {_code(PERSONAL_WORDS)}; or two words of these, one after the other: {pairs}; or if it is "
        f"just one of {alone}."
    )
    yield from _paragraph(f"Harmless **headers**: {_code(HARMLESS_HEADERS)}.")
    yield from _paragraph(f"Harmless **facts** of breadcrumbs and spans: {_code(HARMLESS_FACTS)}.")


def _paragraph(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, 116, break_on_hyphens=False)
    yield ""


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _fields(fields: Fields) -> Iterator[str]:
    yield "| Field | What it is |\n|---|---|"
    for path, kind in fields.items():
        what = f"[{kind.name}](#{kind.name.replace(' ', '-')})" if isinstance(kind, Shape) else kind.value
        where = {"": "the whole", "*": "all others"}.get(path, f"`{path}`")
        yield f"| {where} | {what} |"
    yield ""


def _note_shapes(fields: Fields, shapes: dict[str, Shape]) -> None:
    for kind in fields.values():
        if isinstance(kind, Shape) and kind.name not in shapes:
            shapes[kind.name] = kind
            _note_shapes(kind.fields, shapes)


if __name__ == "__main__":
    PAGE.write_text(page())
    PRIVACY_PAGE.write_text(privacy_page())
