"""Where the source connects and as whom."""

from __future__ import annotations

import base64
import json

import pytest

from sentry.config import Connection, connect, normalize_base_url, region_base_url, server_identity
from sentry.errors import SentryConfigurationError

SECRET = "sntryu_" + "0123456789abcdef" * 4


def connection(**settings: object) -> Connection:
    values = {"auth_token": SECRET, "organization": None, "base_url": None, "projects": None, **settings}
    return connect(**values, allow_insecure=False)  # type: ignore[arg-type]


def organization_token(**claims: str) -> str:
    return f"sntrys_{base64.b64encode(json.dumps(claims).encode()).decode()}_c2VjcmV0"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sentry.io", "https://sentry.io"),
        ("https://sentry.io", "https://sentry.io"),
        ("https://sentry.io/api/0/", "https://sentry.io"),
        ("https://US.sentry.io/", "https://us.sentry.io"),
        ("de.sentry.io/api/0", "https://de.sentry.io"),
        ("https://example.com/sentry/", "https://example.com/sentry"),
        ("https://example.com/sentry/api/0/", "https://example.com/sentry"),
        ("https://example.com:9000", "https://example.com:9000"),
        (" https://example.com/ ", "https://example.com"),
        ("localhost:9000", "http://localhost:9000"),
        ("127.0.0.1:9000/api/0/", "http://127.0.0.1:9000"),
        ("http://[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_a_base_url_is_a_host_or_a_url_with_or_without_the_api_path(given: str, meant: str) -> None:
    assert normalize_base_url(given) == meant


@pytest.mark.parametrize(
    "given", ["", "https://", "ftp://sentry.io", "https://sentry.io/?a=b", "https://sentry.io:port"]
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(
        SentryConfigurationError, match=r"is not a Sentry address\. Give a host name or a URL"
    ):
        normalize_base_url(given)


def test_plain_http_is_refused_for_distant_hosts_unless_allowed() -> None:
    with pytest.raises(SentryConfigurationError, match="would send the token unencrypted"):
        normalize_base_url("http://sentry.example.com")
    assert normalize_base_url("http://sentry.example.com", allow_insecure=True) == "http://sentry.example.com"


def test_credentials_in_the_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(SentryConfigurationError) as error:
        normalize_base_url("https://user:password@example.com")
    assert "password" not in str(error.value).replace("user name or password", "")


@pytest.mark.parametrize(
    ("base_url", "region_url", "used"),
    [
        ("https://sentry.io", "https://de.sentry.io", "https://de.sentry.io"),
        ("https://sentry.io", "https://us.sentry.io/", "https://us.sentry.io"),
        ("https://sentry.io", "http://de.sentry.io", "https://sentry.io"),
        ("https://sentry.io", "https://de.sentry.io.example.com", "https://sentry.io"),
        ("https://sentry.io", "https://evilsentry.io", "https://sentry.io"),
        ("https://sentry.io", "https://de.sentry.io:8443", "https://sentry.io"),
        ("https://sentry.io", "https://user@de.sentry.io", "https://sentry.io"),
        ("https://sentry.io", None, "https://sentry.io"),
        ("https://de.sentry.io", "https://us.sentry.io", "https://de.sentry.io"),
        ("https://sentry.example.com", "https://us.sentry.io", "https://sentry.example.com"),
    ],
)
def test_a_region_is_followed_only_from_sentry_io_to_its_own_hosts(
    base_url: str, region_url: object, used: str
) -> None:
    assert region_base_url(base_url, region_url) == used


def test_all_hosts_of_sentry_io_are_one_server_for_the_state() -> None:
    assert server_identity("https://us.sentry.io") == server_identity("https://sentry.io")
    assert server_identity("https://sentry.example.com") == "https://sentry.example.com"


def test_without_a_token_the_error_says_where_to_put_one_and_with_which_scopes() -> None:
    with pytest.raises(SentryConfigurationError) as error:
        connection(auth_token=None)
    assert "No Sentry token" in str(error.value)
    assert "org:read project:read event:read member:read team:read" in str(error.value)


def test_the_placeholder_that_dlt_init_writes_is_no_token() -> None:
    with pytest.raises(SentryConfigurationError, match="No Sentry token"):
        connection(auth_token="<configure me>")


def test_a_token_with_a_line_break_inside_is_refused_without_being_shown() -> None:
    with pytest.raises(SentryConfigurationError) as error:
        connection(auth_token="sntryu_abc\ndef")
    assert "abc" not in str(error.value)


def test_arguments_win_over_the_variables_of_sentry_cli(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("SENTRY_AUTH_TOKEN", "from-environment"),
        ("SENTRY_ORG", "environment-org"),
        ("SENTRY_PROJECT", "shop, billing"),
        ("SENTRY_URL", "https://sentry.example.com/"),
    ):
        monkeypatch.setenv(name, value)
    fallback = connection(auth_token=None)
    assert fallback == Connection(
        "https://sentry.example.com", "from-environment", "environment-org", ("shop", "billing")
    )
    given = connection(organization="acme", base_url="de.sentry.io", projects=["web"])
    assert given == Connection("https://de.sentry.io", SECRET, "acme", ("web",))


def test_an_organization_token_names_its_organization_and_region() -> None:
    token = organization_token(org="acme", url="https://sentry.io", region_url="https://de.sentry.io")
    found = connection(auth_token=token)
    assert (found.organization, found.base_url) == ("acme", "https://de.sentry.io")
    assert connection(auth_token=token, organization="other").organization == "other"


@pytest.mark.parametrize("token", ["sntrys_", "sntrys_nonsense", "sntrys_!!!_x", "sntrys_W10=_x"])
def test_an_organization_token_without_readable_claims_is_still_a_token(token: str) -> None:
    assert connection(auth_token=token).base_url == "https://sentry.io"


def test_a_token_is_not_in_the_representation() -> None:
    assert SECRET not in repr(connection())
