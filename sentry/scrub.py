"""The token is taken out of whatever a server sends: neither rows nor messages repeat it."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import requests

SHORTEST = 16
"""Sentry's tokens have 64 characters and more; a shorter one (of a test) may be a word that stands in rows."""

INSTEAD = "[token]"


class Scrub:
    """Replaces a token, in each form in which it may come back, by ``[token]``.

    Args:
        token: The token.
    """

    def __init__(self, token: str) -> None:
        forms = {token, quote(token, safe=""), token.replace("/", "\\/"), *_in_base64(token)}
        self._forms = sorted(forms, key=len, reverse=True) if len(token) >= SHORTEST else []
        self._bytes = [form.encode() for form in self._forms]

    def text(self, text: str) -> str:
        """The text without the token."""
        for form in self._forms:
            text = text.replace(form, INSTEAD)
        return text

    def response(self, response: requests.Response) -> None:
        """Take it out of the headers and the body of an answer that was read."""
        for name, value in response.headers.items():
            response.headers[name] = self.text(value)
        for form in self._bytes:
            if form in response.content:
                response._content = response.content.replace(form, INSTEAD.encode())


def _in_base64(token: str) -> set[str]:
    """As in basic authentication, whatever follows it: without the last bytes, which depend on that."""
    whole = token.encode()[: len(token) // 3 * 3]
    return {b64encode(whole).decode(), urlsafe_b64encode(whole).decode()}
