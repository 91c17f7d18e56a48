"""What the sources in Google's cloud share: credentials from a key, and refusals in words."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from b2brecs.configs.secrets import Secret
from b2brecs.errors import B2BRecsError, SourceError, require
from b2brecs.sources.base import ReadSecret, scrub

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

T = TypeVar("T")

# A test may take ten in all.
TEST_SECONDS = 9.0
_LOGIN = "Give credentials=Secret(...) of a service account's JSON key, or run: gcloud auth application-default login"
_KEY = "Store the whole content of a service account's JSON key file as the secret."
_REQUEST = re.compile(r"^(\d{3} )?((GET|POST|PUT|PATCH|DELETE) \S+: )?")
_MAX_TEXT = 500
_PASSES = ("Aborted", "BadGateway", "DeadlineExceeded", "GatewayTimeout", "InternalServerError", "ServiceUnavailable",
           "TooManyRequests", "Unknown")  # fmt: skip
_QUOTA = ("rateLimitExceeded", "quotaExceeded", "jobRateLimitExceeded")


class Google:
    """A source's credentials, and its way of saying what Google's libraries raise.

    Parameters
    ----------
    label
        The source, as errors name it.
    role
        The IAM role that reading needs.
    secret
        Where a service account's JSON key is kept; None: the environment's default credentials.
    emulated
        Whether an emulator is used, which is shown no credentials.
    """

    def __init__(
        self, label: str, role: str, secret: Secret | None, read_secret: ReadSecret, *, emulated: bool
    ) -> None:
        self.label, self.role, self.emulated = label, role, emulated
        self._secret, self._read_secret = secret, read_secret
        self._hidden: tuple[str, ...] = ()

    def credentials(self) -> Credentials | None:
        """Return the credentials, None for the environment's own.

        Raises
        ------
        SourceError
            The secret is no service account's key.
        SecretNotFound
            There is no such secret.
        """
        require("google.auth", feature=f"the source {self.label}", extra="gcp")
        found = self._from_key(self._read_secret(self._secret)) if self._secret is not None else None
        if self.emulated:
            from google.auth.credentials import AnonymousCredentials

            return AnonymousCredentials()  # type: ignore[no-untyped-call]
        return found

    def _from_key(self, text: str) -> Credentials:
        from google.oauth2.service_account import Credentials as ServiceAccount

        try:
            info = json.loads(text)
        except ValueError:
            raise SourceError(self.label, f"the secret {self._secret!r} is not JSON.", _KEY) from None
        if not isinstance(info, dict) or info.get("type") != "service_account":
            raise SourceError(self.label, f"the secret {self._secret!r} is not a service account's key.", _KEY)
        self._hidden = (text, *(str(info[name]) for name in ("private_key", "private_key_id") if info.get(name)))
        try:
            found: Credentials = ServiceAccount.from_service_account_info(info)  # type: ignore[no-untyped-call]
        except Exception:  # noqa: BLE001
            # What the library says may hold a piece of the key.
            raise SourceError(self.label, f"the key behind {self._secret!r} is damaged.", _KEY) from None
        return found

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn Google's errors inside into ``SourceError``."""
        try:
            yield
        except B2BRecsError:
            raise
        except Exception as error:
            found = self.failed(error)
            if found is None:
                raise
            raise found from None

    def failed(self, error: Exception) -> SourceError | None:
        """Say an error of Google's libraries in words; None if it is another's."""
        core = sys.modules.get("google.api_core.exceptions")
        auth = sys.modules.get("google.auth.exceptions")
        if auth is not None and isinstance(error, auth.GoogleAuthError):
            return self._not_let_in(error, auth)
        if core is not None and isinstance(error, core.RetryError):
            return self._said("Google did not answer in time.", "Look at the network and the quota.", transient=True)
        if core is None or not isinstance(error, core.GoogleAPICallError):
            if isinstance(error, ConnectionError) or type(error).__module__.startswith("requests."):
                return self._said("Google cannot be reached.", "Look at the network and the proxy.", transient=True)
            return None
        said = plain(error)
        reasons = {item.get("reason") for item in getattr(error, "errors", None) or [] if isinstance(item, dict)}
        if isinstance(error, core.Unauthorized):
            return self._said(f"the credentials are not accepted: {said}", _LOGIN)
        if isinstance(error, core.Forbidden) and reasons.intersection(_QUOTA):
            return self._said(said, transient=True)
        if isinstance(error, core.Forbidden) and "has not been used in project" in said:
            return self._said(f"the service is not switched on: {said}")
        if isinstance(error, core.Forbidden):
            return self._said(f"access is refused: {said}", f"Grant {self.role} to the account that reads.")
        return self._said(said, transient=any(isinstance(error, getattr(core, name)) for name in _PASSES))

    def _not_let_in(self, error: Exception, auth: Any) -> SourceError:
        if isinstance(error, auth.TransportError):
            return self._said("Google's sign-in cannot be reached.", "Look at the network.", transient=True)
        if isinstance(error, auth.DefaultCredentialsError):
            return self._said("there are no Google credentials.", _LOGIN)
        return self._said("the credentials are not accepted: they are expired, revoked or of a deleted key.", _LOGIN)

    def _said(self, reason: str, fix: str = "", *, transient: bool = False) -> SourceError:
        return SourceError(self.label, scrub(reason, *self._hidden), scrub(fix, *self._hidden), transient=transient)

    def in_time(self, act: Callable[[], T], seconds: float = TEST_SECONDS) -> T:
        """Do something, and give up when it takes longer.

        Sign-in and name resolution heed no deadline, so the waiting is done here.

        Raises
        ------
        SourceError
            There was no answer in time, or Google refused.
        """
        answers: list[T] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                with self.explained():
                    answers.append(act())
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

        thread = threading.Thread(target=work, name="b2brecs-test", daemon=True)
        thread.start()
        thread.join(seconds)
        if errors:
            raise errors[0]
        if not answers:
            raise self._said(f"there was no answer in {seconds:g} s.", "Look at the network.", transient=True)
        return answers[0]


def plain(error: Exception) -> str:
    """Return the service's own words, without request, job and location."""
    details = getattr(error, "errors", None) or [{}]
    first = details[0] if isinstance(details[0], dict) else {}
    text = first.get("message") or getattr(error, "message", None) or str(error)
    line = _REQUEST.sub("", str(text).strip().split("\n")[0]).split("; reason: ")[0].strip()
    if len(line) > _MAX_TEXT:
        line = line[: _MAX_TEXT - 1] + "…"
    return line if line.endswith((".", "?", "!", "…")) else f"{line}."
