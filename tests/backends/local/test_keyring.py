"""What the local secrets say where there is no keyring, and that they say no secret."""

from __future__ import annotations

from collections.abc import Iterator

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.errors
import pytest

from b2brecs.backends.local.keyring import LocalSecrets
from b2brecs.configs.secrets import Secret
from b2brecs.errors import B2BRecsError, SecretNotFound

SECRET = Secret("keyring:erp")


class LockedKeyring(keyring.backend.KeyringBackend):
    """A keyring that refuses, and repeats the secret in its error."""

    priority = 1.0

    def get_password(self, service: str, username: str) -> str | None:
        raise keyring.errors.KeyringLocked(f"locked: {service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise keyring.errors.PasswordSetError(f"cannot store {password} for {username} of {service}")


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(request.param())
    yield
    keyring.set_keyring(before)


@pytest.mark.parametrize("backend", [keyring.backends.fail.Keyring], indirect=True)
@pytest.mark.usefixtures("backend")
def test_without_a_keyring_the_error_says_what_to_do() -> None:
    with pytest.raises(SecretNotFound, match=r"Secret\('env:NAME'\)"):
        LocalSecrets().get(SECRET)
    with pytest.raises(B2BRecsError, match="install a keyring backend") as caught:
        LocalSecrets().put(SECRET, "hunter2")
    assert "hunter2" not in str(caught.value)
    LocalSecrets().delete(SECRET)


@pytest.mark.parametrize("backend", [LockedKeyring], indirect=True)
@pytest.mark.usefixtures("backend")
def test_a_keyring_that_refuses_does_not_get_to_tell_the_secret() -> None:
    with pytest.raises(B2BRecsError, match="LockedKeyring refused to store keyring:erp") as caught:
        LocalSecrets().put(SECRET, "hunter2")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    for use in (LocalSecrets().get, LocalSecrets().delete):
        with pytest.raises(B2BRecsError, match="keyring:erp"):
            use(SECRET)


def test_a_secret_of_the_cloud_is_refused_with_a_sentence() -> None:
    with pytest.raises(B2BRecsError, match="Secret Manager"):
        LocalSecrets().get(Secret("gcp:erp"))
