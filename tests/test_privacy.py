"""Personal data and secrets: what is planted in a server's answers is searched for wherever a load leaves traces."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from docs.generate import KINDS, PRIVACY_PAGE, privacy_page
from sandbox import Sandbox
from sentry import TABLES, SentryConfigurationError, repair, sentry_source
from sentry.masks import KEEPING, Kind
from sentry.policy import POLICY, entries
from sentry.privacy import Privacy
from sentry.table import column_name
from tests.canaries import TOKEN, Planter
from tests.conftest import NOW, Script
from tests.warehouse import Warehouse

KEY = "a key that nobody can guess"

TAG_KEYS = ["user", "environment"]


def hashed(value: str, key: str = KEY) -> str:
    return hashlib.blake2b(value.encode(), key=key.encode(), digest_size=16).hexdigest()


def planted(serve: Callable[..., Sandbox]) -> tuple[Sandbox, Planter]:
    server = serve(issues=3, events=8, days=3)
    server.world.add_feedback(project=server.world.projects[0], at=server.world.now.timestamp() - 3600)
    planter = Planter()
    server.rewrite(planter)
    return server, planter


def tokens_in(content: bytes) -> set[str]:
    return {token.decode().lower() for token in TOKEN.findall(content)}


class Searched:
    """Loads all tables and collects the canaries that are found on the way.

    Attributes:
        by_table: Those in the rows of each table of the destination.
        anywhere: Those in any file or log.
        files: How many files were searched.
    """

    def __init__(
        self, warehouse: Warehouse, server: Sandbox, log: Callable[[], str], **settings: Any
    ) -> None:
        source = sentry_source(
            auth_token=server.token, organization="acme", base_url=server.url, tag_keys=TAG_KEYS, **settings
        ).with_resources(*TABLES)
        self.by_table: dict[str, set[str]] = {}
        self.anywhere: set[str] = set()
        self.files = 0
        self.has_key = False
        for step in (
            lambda: warehouse.pipeline.extract(source),
            warehouse.pipeline.normalize,
            warehouse.pipeline.load,
        ):
            step()
            self._search(warehouse)
        self._note(log().encode())
        self._note(json.dumps(warehouse.pipeline.state, default=str).encode())
        self._note(str(warehouse.pipeline.last_trace).encode())
        for table in sorted(warehouse.tables()):
            rows = "\n".join(warehouse.column(f"SELECT t::VARCHAR FROM {table} AS t")).encode()
            self.by_table[table] = tokens_in(rows)
            self._note(rows)

    def _search(self, warehouse: Warehouse) -> None:
        for path in warehouse.folder.rglob("*"):
            if path.is_file():
                self.files += 1
                self._note(path.read_bytes())

    def _note(self, content: bytes) -> None:
        self.anywhere |= tokens_in(content)
        self.has_key |= KEY.encode() in content


@pytest.fixture
def search(
    serve: Callable[..., Sandbox],
    warehouse: Warehouse,
    everything_logged: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[Searched, Planter]]:
    """Loads from a server with canaries and searches: ``search(personal_data="drop")``."""
    for writer in ("SOURCES__DATA_WRITER", "NORMALIZE__DATA_WRITER"):
        monkeypatch.setenv(f"{writer}__DISABLE_COMPRESSION", "true")

    def run(**settings: Any) -> tuple[Searched, Planter]:
        server, planter = planted(serve)
        return Searched(warehouse, server, lambda: everything_logged.text, **settings), planter

    return run


def told(planter: Planter, tokens: set[str]) -> list[tuple[str, str]]:
    return sorted(planter.canaries.names[token] for token in tokens)


def test_there_are_canaries_of_sixty_kinds_in_every_table_that_has_a_policy() -> None:
    names = Planter().canaries.names.values()
    assert len({name for _, name in names}) > 100
    assert {table for table, _ in names} == set(POLICY) - {"feedback"}  # read from where issues are


def test_without_the_policy_every_canary_arrives(
    search: Callable[..., tuple[Searched, Planter]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentry.privacy.POLICY", {})
    found, planter = search()
    for token, (table, name) in planter.canaries.names.items():
        arrived = found.by_table[table] | found.by_table.get(f"{table}__tags", set())
        assert token in arrived, (table, name)


def test_kept_is_all_but_the_secrets(search: Callable[..., tuple[Searched, Planter]]) -> None:
    found, planter = search()
    secret = planter.canaries.secret
    assert len(secret) > 60
    assert told(planter, found.anywhere & secret) == []
    assert told(planter, set(planter.canaries.names) - secret - found.anywhere) == []
    assert found.files > 100


@pytest.mark.parametrize("mode", ["hash", "drop"])
def test_hashed_or_dropped_nothing_personal_is_found(
    search: Callable[..., tuple[Searched, Planter]], mode: str
) -> None:
    found, planter = search(personal_data=mode, personal_data_key=KEY)
    assert told(planter, found.anywhere) == []
    assert not found.has_key
    assert set(found.by_table) >= set(TABLES)
    assert found.files > 100


ADA = {"id": 42, "email": " Ada@Example.com ", "username": "ada", "name": "Ada", "ip_address": "203.0.113.7"}

ADAS: dict[str, Callable[[dict[str, Any]], None]] = {
    r"/organizations/acme/members/": lambda row: row.update(
        email="ada@example.com",
        user={**row["user"], "id": "42", "email": "ADA@example.com", "username": "Ada"},
    ),
    r"/organizations/acme/issues/": lambda row: row.update(
        assignedTo={"type": "user", "id": "42", "name": "Ada", "email": "ada@example.com"}
    ),
    r"/projects/acme/[^/]+/events/": lambda row: row.update(
        user=ADA, tags=[*row["tags"], {"key": "user", "value": "id:42"}]
    ),
    r"/projects/acme/[^/]+/users/": lambda row: row.update(
        hash="h", identifier="42", email="ada@example.com", tagValue="id:42", username="ada@example.com"
    ),
    r"/projects/acme/[^/]+/tags/user/values/": lambda row: row.update(name="id:42", value="id:42"),
    r"/organizations/acme/replays/": lambda row: row.update(
        user={"id": "42", "email": "ada@example.com", "display_name": "Ada"}
    ),
}
"""What makes the first row of each list of this path one that is about the same person."""


def about_ada(server: Sandbox) -> None:
    def rewrite(path: str, body: bytes) -> bytes:
        for pattern, change in ADAS.items():
            if re.fullmatch("/api/0" + pattern, path):
                parsed = json.loads(body)
                for row in (parsed["data"] if isinstance(parsed, dict) else parsed)[:1]:
                    change(row)
                return json.dumps(parsed).encode()
        return body

    server.rewrite(rewrite)


def test_the_same_person_has_the_same_hash_in_every_table(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(issues=3, events=8, days=3)
    about_ada(server)
    tables = ("members", "issues", "events", "project_users", "tag_values", "replays")
    warehouse.load(server, *tables, tag_keys=TAG_KEYS, personal_data="hash", personal_data_key=KEY)
    email, number, name = hashed("ada@example.com"), hashed("42"), hashed("ada")
    for table, column, value in (
        ("members", "email", email),
        ("members", "user->>'email'", email),
        ("members", "user->>'username'", name),
        ("members", "user_id", number),
        ("issues", "assigned_to->>'email'", email),
        ("issues", "assigned_to_id", number),
        ("events", "user->>'id'", number),
        ("events", "user->>'email'", email),
        ("events", "user->>'username'", name),
        ("events__tags", "value", f"id:{number}"),
        ("project_users", "identifier", number),
        ("project_users", "email", email),
        ("project_users", "username", email),
        ("project_users", "tag_value", f"id:{number}"),
        ("tag_values", "value", f"id:{number}"),
        ("replays", "user->>'id'", number),
        ("replays", "user->>'display_name'", name),
    ):
        assert value in warehouse.column(f"SELECT {column} FROM {table}"), (table, column)
    joined = "SELECT m.name FROM issues AS i JOIN members AS m ON m.user_id = i.assigned_to_id"
    assert warehouse.column(joined)


def test_a_team_stays_a_team(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve(issues=3, events=8, days=3)
    team = {"type": "team", "id": "20", "name": "platform"}

    def assign(path: str, body: bytes) -> bytes:
        if not path.endswith("/organizations/acme/issues/"):
            return body
        return json.dumps([{**row, "assignedTo": team} for row in json.loads(body)]).encode()

    server.rewrite(assign)
    warehouse.load(server, "issues", personal_data="drop")
    assert set(warehouse.column("SELECT assigned_to_id FROM issues")) == {"20"}
    assert set(warehouse.column("SELECT assigned_to->>'name' FROM issues")) == {"platform"}


def test_dropped_columns_are_null_and_the_rest_of_an_event_stays(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(issues=3, events=8, days=3)
    columns = "event_id, type, location, metadata->>'type', contexts->>'os', CAST(entries AS VARCHAR)"
    warehouse.load(server, "events")
    kept = {row["event_id"]: row for row in warehouse.rows(f"SELECT {columns} FROM events")}
    dropping = Warehouse(warehouse.folder, "dropping")
    dropping.load(server, "events", personal_data="drop")
    assert set(dropping.column("SELECT title FROM events")) == {None}
    frames = re.compile(r'"(?:filename|function|lineNo|type)": ?"?[^",]*')
    for row in dropping.rows(f"SELECT {columns} FROM events"):
        before = kept[row["event_id"]]
        *columns_of_row, entries_of_row = row.values()
        *columns_before, entries_before = before.values()
        assert columns_of_row == columns_before
        assert frames.findall(entries_of_row) == frames.findall(entries_before)
        assert len(frames.findall(entries_of_row)) > 1
    tags = dropping.rows("SELECT key, value FROM events__tags WHERE key IN ('user', 'server_name', 'level')")
    assert {(tag["key"], tag["value"] is None) for tag in tags} >= {("server_name", True), ("level", False)}


def test_another_key_makes_other_hashes_and_says_so(
    serve: Callable[..., Sandbox], warehouse: Warehouse, everything_logged: pytest.LogCaptureFixture
) -> None:
    server = serve(issues=3, events=8, days=3)
    warehouse.load(server, "members", personal_data="hash", personal_data_key=KEY)
    first = set(warehouse.column("SELECT email FROM members"))
    assert "is not what it was" not in everything_logged.text
    warehouse.load(server, "members", personal_data="hash", personal_data_key=KEY[::-1])
    assert not first & set(warehouse.column("SELECT email FROM members"))
    assert "personal_data or its key is not what it was in the last load." in everything_logged.text


def test_a_second_run_merges_and_types_are_those_of_rows_that_are_kept(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(issues=3, events=8, days=3)
    tables = ("members", "issues", "events", "project_users", "tag_values", "issue_tag_values", "replays")
    types = {}
    for mode in ("keep", "hash"):
        house = Warehouse(warehouse.folder, mode)
        settings: dict[str, Any] = {"tag_keys": TAG_KEYS, "personal_data": mode, "personal_data_key": KEY}
        counts = []
        for _ in range(2):
            house.load(server, *tables, **settings)
            counts.append({name: house.column(f"SELECT count(*) FROM {name}")[0] for name in tables})
        assert counts[0] == counts[1]
        types[mode] = {
            tuple(row.values())
            for row in house.rows(
                "SELECT table_name, column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = 'sentry_data'"
            )
        }
    assert types["keep"] - types["hash"] == {("events__tags", "query", "VARCHAR")}  # the value once more
    assert types["hash"] <= types["keep"]


NO_KEY = (
    'personal_data = "hash" needs a key. Put one into .dlt/secrets.toml as [sources.sentry] personal_data_key, '
    "16 to 64 characters that nobody can guess, and keep it: with another key all hashes change. This makes one: "
    'python -c "import secrets; print(secrets.token_hex(32))"'
)


@pytest.mark.parametrize(
    ("mode", "key", "message"),
    [
        ("hash", None, NO_KEY),
        ("hash", "", NO_KEY),
        ("hash", "<configure me>", NO_KEY),
        ("hash", "...", NO_KEY),
        ("hash", "short", "personal_data_key has 5 characters; it must have 16 to 64."),
        ("drop", "x" * 65, "personal_data_key has 65 characters; it must have 16 to 64."),
        ("remove", KEY, "personal_data is keep, hash or drop, not 'remove'."),
    ],
)
def test_a_setting_that_makes_no_sense_is_said_before_anything_is_sent(
    mode: str, key: str | None, message: str
) -> None:
    with pytest.raises(SentryConfigurationError) as raised:
        sentry_source(auth_token="x" * 64, personal_data=mode, personal_data_key=key)
    assert str(raised.value).startswith(message)
    assert not key or key == "..." or key not in str(raised.value)


def test_a_personal_key_is_hashed_where_all_else_is_dropped(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(issues=3, events=8, days=3)
    with pytest.raises(Exception, match="the tables project_users, tag_values and issue_tag_values need"):
        Warehouse(warehouse.folder, "without_key").load(server, "project_users", personal_data="drop")
    warehouse.load(server, "tag_values", tag_keys=["environment"], personal_data="drop")
    assert "production" in warehouse.column("SELECT value FROM tag_values")
    warehouse.load(server, "project_users", personal_data="drop", personal_data_key=KEY)
    rows = warehouse.rows("SELECT hash, email, name FROM project_users")
    assert rows
    assert all(re.fullmatch("[0-9a-f]{32}", row["hash"]) for row in rows)
    assert {(row["email"], row["name"]) for row in rows} == {(None, None)}


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user configures it: the mode in config, the key in secrets."""
    monkeypatch.setenv("SOURCES__SENTRY__PERSONAL_DATA", "hash")
    monkeypatch.setenv("SOURCES__SENTRY__PERSONAL_DATA_KEY", KEY)


@pytest.mark.usefixtures("configured")
def test_a_repair_follows_the_policy_that_is_configured(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(issues=3, events=8, days=14)
    access: dict[str, Any] = {"auth_token": server.token, "organization": "acme", "base_url": server.url}
    warehouse.load(server, "events", "issue_events")
    issue = server.world.issues[0]
    server.world.add_event(project=issue.project, issue=issue, at=NOW - timedelta(days=5))
    planter = Planter()
    server.rewrite(planter)
    assert repair(warehouse.pipeline, **access, loader_file_format="parquet").brought == 1
    for table in ("events", "issue_events"):
        rows = warehouse.column(f"SELECT t::VARCHAR FROM {table} AS t")
        assert len(rows) == 9
        assert tokens_in("".join(rows).encode()) == set()
    files = [path for path in warehouse.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_a_repair_never_brings_back_what_was_hashed(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(issues=3, events=8, days=14)
    warehouse.load(server, "events", personal_data="hash", personal_data_key=KEY)
    with pytest.raises(
        SentryConfigurationError, match="loads with personal_data = 'hash', and repair would use 'keep'"
    ):
        repair(warehouse.pipeline, auth_token=server.token, organization="acme", base_url=server.url)


def test_the_script_reads_both_settings_and_says_what_is_missing(
    serve: Callable[..., Sandbox], script: Script, tmp_path: Path
) -> None:
    server = serve(issues=3, events=8, days=3)
    without = script(server, "--resources", "members", SOURCES__SENTRY__PERSONAL_DATA="hash")
    assert without.returncode == 2
    assert NO_KEY in without.stderr
    folder = tmp_path / ".dlt"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text('[sources.sentry]\npersonal_data = "hash"\n')
    (folder / "secrets.toml").write_text(f'[sources.sentry]\npersonal_data_key = "{KEY}"\n')
    done = script(server, "--resources", "members")
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stdout + done.stderr
    with duckdb.connect(str(tmp_path / "sentry.duckdb"), read_only=True) as connection:
        emails = connection.execute("SELECT email FROM sentry_data.members").fetchall()
    assert (hashed("user1@example.com"),) in emails


def test_neither_settings_nor_policy_show_the_key() -> None:
    privacy = Privacy("hash", KEY)
    assert repr(privacy) == "Privacy('hash')"
    assert KEY not in str(vars(privacy))
    assert KEY not in privacy.mark


def masked(mode: str, table: str, **row: Any) -> dict[str, Any]:
    return Privacy(mode, KEY).applied(TABLES[table], row)


@pytest.mark.parametrize(
    ("given", "arrives"),
    [
        ("https://shop.example.com/a?b=1#c", "https://shop.example.com/a?b=1#c"),
        ("https://me:pw@shop.example.com/", "https://shop.example.com/"),
        ("https://me:p@w@shop.example.com/", "https://shop.example.com/"),
        ("https://shop.example.com/?token=1&b=2&sig=3", "https://shop.example.com/?b=2"),
        ("https://shop.example.com/?access%5Ftoken=1", "https://shop.example.com/"),
        (
            "https://shop.example.com/?X-Amz-Signature=1&X-Amz-Security-Token=2&x=3",
            "https://shop.example.com/?x=3",
        ),
        ("https://shop.example.com/#access_token=1&x=2", "https://shop.example.com/#x=2"),
        ("https://shop.example.com/#/login?code=1&x=2", "https://shop.example.com/#/login?x=2"),
        ("/cart?author=ada&keyboard=de&design=1", "/cart?author=ada&keyboard=de&design=1"),
        ("write to ada@example.com", "write to ada@example.com"),
        ("", ""),
    ],
)
def test_credentials_of_a_url_never_arrive(given: str, arrives: str) -> None:
    assert masked("keep", "replays", urls=[given]) == {"urls": [arrives]}


@pytest.mark.parametrize(
    ("given", "arrives"),
    [
        ([["q", "1"], ["token", "2"]], [["q", "1"]]),
        ({"q": "1", "client_secret": "2"}, {"q": "1"}),
        ("q=1&refresh_token=2", "q=1"),
        (None, None),
        ([], []),
    ],
)
def test_credentials_of_a_query_never_arrive_in_whatever_form_it_comes(given: Any, arrives: Any) -> None:
    row = {"entries": [{"type": "request", "data": {"query": given}}]}
    assert masked("keep", "events", **row)["entries"][0]["data"]["query"] == arrives


@pytest.mark.parametrize("name", ["EMAIL", "Email", "email_2", "EMAIL_3", "e-mail", "e_Mail"])
def test_a_personal_field_under_another_spelling_is_personal_too(name: str) -> None:
    person = {"id": "7", "email": "ada@example.com", name: "grace@example.com"}
    assert masked("hash", "members", **person)[name] == hashed("grace@example.com")
    assert name not in masked("drop", "members", **person)
    assert masked("keep", "members", **person) == person


def test_an_answer_of_the_server_is_not_changed_in_place() -> None:
    row = {"user": {"email": "ada@example.com"}, "entries": [{"type": "request", "data": {"cookies": "a"}}]}
    before = json.dumps(row)
    for mode in ("keep", "hash", "drop"):
        assert masked(mode, "events", **row) != row
    assert json.dumps(row) == before


@pytest.mark.parametrize(
    ("given", "hash_", "drop"),
    [
        ("is:unresolved", "is:unresolved", "is:unresolved"),
        ('user.id:"42" level:error', f'user.id:"{hashed("42")}" level:error', "level:error"),
        ("!user.email:Ada@example.com x", f'!user.email:"{hashed("ada@example.com")}" x', "x"),
        ("from Ada@example.com", f"from {hashed('ada@example.com')}", "from"),
        ("has:user", "has:user", "has:user"),
    ],
)
def test_searches_stay_searches(given: str, hash_: str, drop: str) -> None:
    assert masked("hash", "saved_queries", query=given) == {"query": hash_}
    assert masked("drop", "saved_queries", query=given) == {"query": drop}


@pytest.mark.parametrize("strange", [None, "", "text", 7, True, [], {}, ["text", 7], [["a"]], {"type": 7}])
@pytest.mark.parametrize("mode", ["keep", "hash", "drop"])
def test_strange_answers_stop_nothing(mode: str, strange: Any) -> None:
    for table in TABLES.values():
        privacy = Privacy(mode, KEY)
        names = {re.split(r"[.\[]", entry.path)[0] for entry in entries(table.name)} - {"*", ""}
        paths = {entry.path for entry in entries(table.name)}
        for value in (
            strange,
            [{"type": kind, "data": strange} for kind in ("request", "exception", "breadcrumbs")],
        ):
            privacy.applied(table, dict.fromkeys(names, value))
        if any("." in path for path in paths):
            privacy.applied(
                table, {name: dict.fromkeys(("user", "data", "value"), strange) for name in names}
            )


def test_numbers_and_odd_text_are_hashed_too() -> None:
    lone = json.loads('"\\ud800"')
    row = masked("hash", "events", message=lone, user={"id": 7, "geo": {"x": 1.5}, "data": {"a": True}})
    assert row["user"]["id"] == hashed("7")
    assert masked("hash", "events", user={"id": " Ada@Example.com"}) == {
        "user": {"id": hashed("ada@example.com")}
    }
    assert masked("hash", "events", user={"id": "AbC"}) == {"user": {"id": hashed("AbC")}}
    assert row["user"]["geo"]["x"] == hashed("1.5")
    assert row["user"]["data"]["a"] == hashed("true")
    assert len(row["message"]) == 32
    frame = {"vars": {"n": 2**70, "t": lone}}
    entry = {"type": "stacktrace", "data": {"frames": [frame]}}
    assert len(masked("hash", "events", entries=[entry])["entries"][0]["data"]["frames"][0]["vars"]) == 32


NOT_PERSONAL = {
    "*": "id organization_id organization_slug project_id project_slug issue_id release_version team_id team_slug slug "
    "key type status level platform environment project projects teams flags features provider permalink",
    "organizations": "name links avatar",
    "organization_details": "name links avatar default_role sensitive_fields safe_fields quota available_roles "
    "team_role_list",
    "teams": "name avatar",
    "members": "org_role role invite_status",
    "users": "org_role role invite_status",
    "environments": "name",
    "repositories": "name url external_slug external_id integration_id settings",
    "repository_commits": "repository_id repository_name repository releases suspect_commit_type",
    "integrations": "name icon domain_name account_type organization_integration_status external_id grace_period_end "
    "scopes",
    "sentry_app_installations": "uuid app organization",
    "tags": "name",
    "projects": "name team platforms environments",
    "project_details": "name team platforms environments color subject_prefix subject_template default_environment "
    "grouping_config grouping_enhancements derived_grouping_enhancements secondary_grouping_config "
    "fingerprinting_rules autofix_automation_tuning debug_files_role sensitive_fields safe_fields highlight_tags "
    "highlight_context builtin_symbol_sources dynamic_sampling_biases avatar",
    "project_teams": "name avatar",
    "team_members": "team_role org_role role role_name invite_status",
    "project_environments": "name",
    "project_keys": "public name label use_case browser_sdk_version rate_limit dynamic_sdk_loader_options",
    "project_ownership": "auto_assignment",
    "project_filters": "active",
    "project_tags": "name",
    "tag_values": "tag_key",
    "service_hooks": "url events",
    "symbol_sources": "name url bucket region prefix layout filters platforms",
    "debug_files": "uuid debug_id code_id cpu_name object_name symbol_type sha1 data",
    "user_feedback": "event_id event",
    "releases": "version short_version ref url user_agent version_info last_deploy current_project_meta "
    "adoption_stages",
    "release_details": "version short_version ref url user_agent version_info last_deploy current_project_meta "
    "adoption_stages",
    "release_commits": "repository_id repository releases suspect_commit_type",
    "release_commit_files": "filename repo_name org_id",
    "release_deploys": "name url",
    "release_files": "name dist sha1",
    "issues": "short_id logger issue_type issue_category substatus priority assigned_to_type annotations "
    "subscription_details merged_into",
    "feedback": "short_id logger issue_type issue_category substatus priority assigned_to_type annotations "
    "subscription_details merged_into",
    "issue_details": "short_id logger issue_type issue_category substatus priority assigned_to_type annotations "
    "subscription_details sentry_app_issues forecast",
    "events": "event_id group_id location event_type release dist crash_file packages sdk fingerprints "
    "grouping_config measurements breakdowns",
    "issue_events": "event_id group_id location event_type release dist crash_file packages sdk fingerprints "
    "grouping_config measurements breakdowns",
    "issue_tags": "name",
    "issue_tag_values": "tag_key",
    "issue_external_links": "service_type display_name web_url",
    "monitors": "name config environments",
    "monitor_checkins": "monitor_id monitor_slug monitor_config groups",
    "detectors": "name description workflow_ids condition_group config",
    "workflows": "name detector_ids config",
    "replays": "replay_type dist releases segment_names error_ids trace_ids sdk os browser ota_updates",
    "dashboards": "title period utc prebuilt_id permissions",
    "saved_queries": "name query_dataset dataset_source range start end orderby display interval limit fields y_axis "
    "aggregations widths",
    "usage_stats": "category outcome reason",
    "release_health": "release",
    "project_stats": "stat",
}
"""Columns of text or JSON that hold nothing personal; what is neither here nor in the policy was forgotten."""


@pytest.mark.parametrize("name", TABLES)
def test_every_text_and_json_column_is_in_the_policy_or_known_to_be_harmless(name: str) -> None:
    columns = {column.name for column in TABLES[name].columns if column.type in ("text", "json")}
    personal = {column_name(re.split(r"[.\[]", entry.path)[0]) for entry in entries(name)}
    listed = set(NOT_PERSONAL.get(name, "").split())
    assert columns - personal - listed - set(NOT_PERSONAL["*"].split()) == set()
    assert listed <= columns - personal, "harmless, and in the policy"


@pytest.mark.usefixtures("configured")
def test_the_queries_on_the_page_answer(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve(issues=3, events=8, days=3)
    about_ada(server)
    warehouse.load(server, "members", "issues", "events")
    queries = re.findall(r"^```sql\n(.*?)^```$", PRIVACY_PAGE.read_text(), re.MULTILINE | re.DOTALL)
    joined, searched = (warehouse.rows(query) for query in queries)
    assert hashed("42") in [row["user_id"] for row in joined]
    assert searched == []
    (code,) = re.findall(r"^```python\n(.*?)^```$", PRIVACY_PAGE.read_text(), re.MULTILINE | re.DOTALL)
    run = subprocess.run(
        [sys.executable, "-c", code.replace("the personal_data_key", KEY)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() in warehouse.column("SELECT email FROM members")


def test_the_page_on_personal_data_is_what_the_policy_says() -> None:
    assert PRIVACY_PAGE.read_text() == privacy_page(), "run `make docs`"
    assert set(KINDS) == set(Kind) == set(KEEPING)
    assert set(POLICY) <= set(TABLES)
