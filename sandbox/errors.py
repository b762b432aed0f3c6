"""The refusals of the API, with the bodies Sentry gives them."""

from collections.abc import Mapping

from .answers import Answer, json_answer


class ApiError(Exception):
    """An answer other than the one asked for."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def refuse(status: int, detail: object, headers: dict[str, str] | None = None) -> ApiError:
    """An error with a `detail`, which is a text or, for coded errors, an object."""
    return ApiError(json_answer({"detail": detail}, status=status, headers=headers))


def bad_request(detail: str) -> ApiError:
    """400: the request does not make sense."""
    return refuse(400, detail)


def query_timeout() -> ApiError:
    """400: there was too much to look through in time; a smaller window may do."""
    return bad_request(
        "Query timeout. Please try again. If the problem persists try a smaller date range or fewer projects. "
        "Also consider a filter on the transaction field if you're filtering performance data."
    )


def unauthorized(detail: str) -> ApiError:
    """401: no token, or none that is known."""
    return refuse(401, detail, {"WWW-Authenticate": 'Bearer realm="api"'})


def forbidden(scopes: frozenset[str] = frozenset()) -> ApiError:
    """403: the token lacks a scope, or a project is out of its reach."""
    headers = {}
    if scopes:
        wanted = " ".join(sorted(scopes))
        headers["WWW-Authenticate"] = f'Bearer realm="api", error="insufficient_scope", scope="{wanted}"'
    return refuse(403, "You do not have permission to perform this action.", headers)


def not_found(detail: str = "The requested resource does not exist") -> ApiError:
    """404: there is no such thing, or none this token may know of."""
    return refuse(404, detail)


def nothing_here() -> ApiError:
    """404 without a body: an unknown path, a missing slash at the end, the wrong silo."""
    return ApiError(Answer(b"", status=404))


def internal_error() -> ApiError:
    """500: what an old server answers where newer ones check the parameter."""
    body = {"detail": "Internal Error", "errorId": "5d0c2a7e9f3b41c6a8d4e1f70b92c635"}
    return ApiError(json_answer(body, status=500))


def refused(status: int, detail: str, *causes: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """A refusal of the relay, which older SDKs read from a header."""
    body = {"detail": detail, **({"causes": list(causes)} if causes else {})}
    return ApiError(json_answer(body, status=status, headers={"X-Sentry-Error": detail, **(headers or {})}))
