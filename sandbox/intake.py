"""Parts of an event as an SDK sends them, turned into the shapes the API shows."""

from .dates import stamp
from .model import Row


def as_text(value: object) -> str:
    """A value as text; nothing is the empty text."""
    return "" if value is None else value if isinstance(value, str) else str(value)


def as_dict(value: object) -> Row:
    """A value if it is an object, else an empty one."""
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    """A value if it is a list, else an empty one."""
    return list(value) if isinstance(value, list) else []


def pairs(value: object) -> list[tuple[str, str]]:
    """Key and value pairs, sent as an object or as a list of pairs."""
    items = value.items() if isinstance(value, dict) else as_list(value)
    return [
        (as_text(item[0]), as_text(item[1]))
        for item in items
        if isinstance(item, list | tuple) and len(item) == 2
    ]


def top_frame(exception: Row) -> Row:
    """The frame an issue is named after: the last one in the application, else the last one."""
    frames = [as_dict(frame) for frame in as_list(as_dict(exception.get("stacktrace")).get("frames"))]
    in_app = [frame for frame in frames if frame.get("in_app")]
    return (in_app or frames or [{}])[-1]


def exception_values(sent: object) -> list[Row]:
    """The exceptions of an event."""
    values = as_list(sent.get("values")) if isinstance(sent, dict) else as_list(sent)
    return [_exception(as_dict(value)) for value in values]


def _exception(value: Row) -> Row:
    stacktrace = as_dict(value.get("stacktrace"))
    shown: Row | None = None
    if stacktrace:
        frames = [_frame(as_dict(frame)) for frame in as_list(stacktrace.get("frames"))]
        shown = {
            "frames": frames,
            "framesOmitted": None,
            "registers": stacktrace.get("registers"),
            "hasSystemFrames": any(not frame["inApp"] for frame in frames),
        }
    return {
        "type": value.get("type"),
        "value": value.get("value"),
        "module": value.get("module"),
        "mechanism": value.get("mechanism"),
        "threadId": value.get("thread_id"),
        "stacktrace": shown,
        "rawStacktrace": None,
    }


def _frame(frame: Row) -> Row:
    return {
        "filename": frame.get("filename"),
        "absPath": frame.get("abs_path"),
        "module": frame.get("module"),
        "package": frame.get("package"),
        "platform": frame.get("platform"),
        "instructionAddr": frame.get("instruction_addr"),
        "symbolAddr": frame.get("symbol_addr"),
        "function": frame.get("function"),
        "rawFunction": frame.get("raw_function"),
        "symbol": frame.get("symbol"),
        "context": _source(frame),
        "lineNo": frame.get("lineno"),
        "colNo": frame.get("colno"),
        "inApp": bool(frame.get("in_app")),
        "trust": None,
        "errors": None,
        "lock": frame.get("lock"),
        "vars": frame.get("vars"),
    }


def _source(frame: Row) -> list[list[object]]:
    """The source lines around a frame, numbered."""
    line, here = frame.get("lineno"), frame.get("context_line")
    if not isinstance(line, int) or here is None:
        return []
    before = as_list(frame.get("pre_context"))
    lines = [*before, here, *as_list(frame.get("post_context"))]
    return [[line - len(before) + at, text] for at, text in enumerate(lines)]


def breadcrumbs(sent: object) -> list[Row]:
    """The breadcrumbs of an event."""
    values = as_list(sent.get("values")) if isinstance(sent, dict) else as_list(sent)
    return [_breadcrumb(as_dict(value)) for value in values]


def _breadcrumb(crumb: Row) -> Row:
    when = crumb.get("timestamp")
    return {
        "type": crumb.get("type") or "default",
        "timestamp": stamp(int(when), int(when * 1_000) % 1_000) if isinstance(when, int | float) else when,
        "level": crumb.get("level") or "info",
        "message": crumb.get("message"),
        "category": crumb.get("category"),
        "data": crumb.get("data"),
        "event_id": crumb.get("event_id"),
    }


def request_entry(request: Row) -> Row:
    """The HTTP request in which an event happened."""
    query = request.get("query_string")
    if isinstance(query, str):
        query_pairs = [tuple(part.partition("=")[::2]) for part in query.lstrip("?").split("&") if part]
    else:
        query_pairs = [tuple(pair) for pair in pairs(query)]
    return {
        "apiTarget": request.get("api_target"),
        "method": request.get("method"),
        "url": as_text(request.get("url")),
        "query": [list(pair) for pair in query_pairs],
        "fragment": request.get("fragment"),
        "data": request.get("data"),
        "headers": [list(pair) for pair in pairs(request.get("headers"))],
        "cookies": [list(pair) for pair in pairs(request.get("cookies"))],
        "env": request.get("env"),
        "inferredContentType": request.get("inferred_content_type"),
    }
