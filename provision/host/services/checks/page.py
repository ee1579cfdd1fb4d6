"""The check that sends any request: `http`."""

from __future__ import annotations

import json
import re
from typing import Any

from provision.host.services.checks.asking import Asking, Verdict, matched
from provision.host.services.checks.client import Reply
from provision.wire.checks import Http

NO_USE = (400, 401, 403, 405, 415, 422)
"""Status codes that the same request would get again."""

_MISSING = object()


def http(asking: Asking, check: Http) -> Verdict:
    """Send a request, and compare the answer with what is expected."""
    body, headers = check.body, check.headers
    if body is not None and not isinstance(body, str):
        body = json.dumps(body)
        headers = {"Content-Type": "application/json", **headers}
    data = None if body is None else body.encode("utf-8")
    reply = asking.client.ask(check.verb(), check.path, data, headers, asking.limit)
    wanted = check.status if isinstance(check.status, list) else [check.status]
    if reply.status not in wanted:
        error = f"status {reply.status} instead of {' or '.join(str(each) for each in wanted)}"
        hint = asking.unauthorised(reply) or _moved(reply)
        return Verdict(error, hint, reply.status in NO_USE or hint is not None, reply.text())
    differs = _differs(check.json, reply)
    return Verdict(differs, received=reply.text()) if differs else matched(reply.text(), check.expect)


def _moved(reply: Reply) -> str | None:
    if reply.location is None or not 300 <= reply.status < 400:
        return None
    if reply.location.startswith("https:"):
        return f"it redirects to {reply.location}: name the port that speaks https, and `tls: {{}}`"
    return f"it redirects to {reply.location}: ask for that"


def _differs(wanted: dict[str, Any], reply: Reply) -> str | None:
    """Return how a JSON reply differs from the values that are expected in it."""
    if not wanted:
        return None
    answer = reply.json()
    if answer is None:
        return "the answer is not JSON"
    for path, value in wanted.items():
        found = at(answer, path)
        if found is _MISSING:
            return f"the answer has no {path}"
        if not same(found, value):
            return f"{path} is {json.dumps(found)[:200]} instead of {json.dumps(value)}"
    return None


def at(data: Any, path: str) -> Any:
    """Return what is at a path such as `choices.0.text` or `choices[0].text`, or a mark for nothing."""
    for step in re.sub(r"\[(\d+)\]", r".\1", path).strip(".").split("."):
        if isinstance(data, dict) and step in data:
            data = data[step]
        elif isinstance(data, list) and step.isdigit() and int(step) < len(data):
            data = data[int(step)]
        else:
            return _MISSING
    return data


def same(found: Any, wanted: Any) -> bool:
    """Compare two values as JSON does: 1 is 1.0, but true is not 1."""
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)
