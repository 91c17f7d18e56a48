"""What Google's services say when they refuse, as one sentence with the fix."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from b2brecs.errors import B2BRecsError

LOGIN = "Run: gcloud auth application-default login"
_REQUEST = re.compile(r"^(\d{3} )?((GET|POST|PUT|PATCH|DELETE) \S+: )?")
_MAX_TEXT = 500


def sentence(error: Exception, service: str, role: str) -> str | None:
    """Explain an error of Google's libraries; None when it is not one.

    Parameters
    ----------
    error
        What was raised.
    service
        Name of the service, as users know it.
    role
        The IAM role that allows what was tried.
    """
    core = sys.modules.get("google.api_core.exceptions")
    auth = sys.modules.get("google.auth.exceptions")
    if auth is not None and isinstance(error, auth.GoogleAuthError):
        return f"{service}: Google credentials are missing or expired. {LOGIN}"
    if core is not None and isinstance(error, core.RetryError):
        return f"{service} did not answer in time. Try again; if it lasts, look at the network and the project's quota."
    if core is None or not isinstance(error, core.GoogleAPICallError):
        if isinstance(error, ConnectionError) or type(error).__module__.startswith("requests."):
            return f"{service} cannot be reached. Look at the network and the proxy settings."
        return None
    said = plain(error)
    if isinstance(error, core.Unauthorized):
        return f"{service} does not accept the credentials: {said} {LOGIN}"
    if isinstance(error, core.Forbidden) and _over_limit(error):
        return f"{service} refused a query above the limit: {said} Read less, or raise max_bytes_billed."
    if isinstance(error, core.Forbidden) and "has not been used in project" in said:
        return f"{service} is not switched on: {said}"
    if isinstance(error, core.Forbidden):
        return f"{service} refused: {said} Grant the role {role} to the account that this runs as."
    if isinstance(error, core.ServiceUnavailable | core.DeadlineExceeded | core.GatewayTimeout):
        return f"{service} cannot be reached at the moment: {said}"
    return f"{service}: {said}"


def plain(error: Exception) -> str:
    """Return the service's own words, without request, job and location."""
    details = getattr(error, "errors", None) or [{}]
    first = details[0] if isinstance(details[0], dict) else {}
    text = first.get("message") or getattr(error, "message", None) or str(error)
    line = _REQUEST.sub("", str(text).strip().split("\n")[0]).split("; reason: ")[0].strip()
    if len(line) > _MAX_TEXT:
        line = line[: _MAX_TEXT - 1] + "…"
    return line if line.endswith((".", "?", "!", "…")) else f"{line}."


def _over_limit(error: Exception) -> bool:
    return any(
        isinstance(item, dict) and item.get("reason") == "bytesBilledLimitExceeded"
        for item in getattr(error, "errors", None) or []
    ) or "bytes billed" in str(error)


@contextmanager
def explained(service: str, *, role: str, raises: type[B2BRecsError] = B2BRecsError) -> Iterator[None]:
    """Turn Google's errors inside into the library's own."""
    try:
        yield
    except B2BRecsError:
        raise
    except Exception as error:
        text = sentence(error, service, role)
        if text is None:
            raise
        raise raises(text) from error
