"""A plain HTTP client for a stand-in: what a careful caller would see on the wire."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from sandbox import Sandbox

_LINK = re.compile(r'<([^>]*)>; rel="(\w+)"; results="(true|false)"; cursor="([^"]*)"')


class Links(dict[str, tuple[str, bool, str]]):
    """The Link header of an answer: relation to URL, whether there are results, and cursor."""

    @classmethod
    def of(cls, answer: requests.Response) -> "Links":
        found = _LINK.findall(answer.headers["Link"])
        return cls({rel: (url, results == "true", cursor) for url, rel, results, cursor in found})

    @property
    def more(self) -> bool:
        return self["next"][1]

    @property
    def cursor(self) -> str:
        return self["next"][2]

    @property
    def params(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self["next"][0]).query, keep_blank_values=True)


class Client:
    """Calls a server with a token; paths are below `/api/0`."""

    def __init__(self, server: Sandbox, token: str | None = None) -> None:
        self.server = server
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token or server.token}"

    def get(self, path: str, params: Any = None, /, **named: Any) -> requests.Response:
        return self.session.get(self._url(path), params=params or named, allow_redirects=False, timeout=10)

    def put(self, path: str, body: Any, /, **params: Any) -> requests.Response:
        return self.session.put(self._url(path), json=body, params=params, timeout=10)

    def delete(self, path: str, /, **params: Any) -> requests.Response:
        return self.session.delete(self._url(path), params=params, timeout=10)

    def _url(self, path: str) -> str:
        return path if path.startswith("http") else f"{self.server.url}/api/0{path}"

    def rows(self, path: str, **params: Any) -> list[Any]:
        """Every row of a listing, page by page, by the cursor alone."""
        rows: list[Any] = []
        for page in self.pages(path, **params):
            rows += page
        return rows

    def pages(self, path: str, **params: Any) -> list[list[Any]]:
        """Every page of a listing."""
        pages: list[list[Any]] = []
        while True:
            answer = self.get(path, **params)
            assert answer.status_code == 200, answer.text
            pages.append(answer.json())
            if "Link" not in answer.headers or not Links.of(answer).more:
                return pages
            params["cursor"] = Links.of(answer).cursor

    def detail(self, path: str, status: int, **params: Any) -> object:
        """The `detail` of a refusal."""
        answer = self.get(path, **params)
        assert answer.status_code == status, answer.text
        return answer.json()["detail"]
