"""The secret store's contract: secrets come back whole, and show nowhere else."""

from __future__ import annotations

import pytest

from b2brecs.backends.protocols import SecretStore
from b2brecs.configs.secrets import Secret
from b2brecs.errors import B2BRecsError, SecretNotFound

SCHEMES = {"local": "keyring", "gcp": "gcp"}
VALUES = ["hunter2", "Größe 😀 ' \" \\ $x", " kept \n", "-----BEGIN KEY-----\n" + "QUJD" * 400 + "\n"]


@pytest.fixture
def secret(home: str) -> Secret:
    return Secret(f"{SCHEMES[home]}:erp-password")


class TestSecretStore:
    @pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
    def test_a_secret_comes_back_whole(self, secrets: SecretStore, secret: Secret, value: str) -> None:
        secrets.put(secret, value)
        assert secrets.get(secret) == value

    def test_a_second_put_replaces(self, secrets: SecretStore, secret: Secret) -> None:
        secrets.put(secret, "old")
        secrets.put(secret, "new")
        assert secrets.get(secret) == "new"

    def test_secrets_do_not_mix(self, secrets: SecretStore, home: str) -> None:
        names = ["a", "A", "a-b", "a_b"]
        for name in names:
            secrets.put(Secret(f"{SCHEMES[home]}:{name}"), f"value of {name}")
        assert [secrets.get(Secret(f"{SCHEMES[home]}:{name}")) for name in names] == [f"value of {x}" for x in names]

    def test_a_missing_secret_says_how_to_store_it(self, secrets: SecretStore, secret: Secret) -> None:
        with pytest.raises(SecretNotFound, match=r"put\('" + secret.reference) as caught:
            secrets.get(secret)
        assert caught.value.reference == secret.reference

    def test_delete_removes_what_is_there(self, secrets: SecretStore, secret: Secret) -> None:
        secrets.delete(secret)
        secrets.put(secret, "x")
        secrets.delete(secret)
        with pytest.raises(SecretNotFound):
            secrets.get(secret)
        secrets.put(secret, "again")
        assert secrets.get(secret) == "again"

    def test_the_environment_is_read(self, secrets: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("B2BRECS_TEST_SECRET", "from outside")
        assert secrets.get(Secret("env:B2BRECS_TEST_SECRET")) == "from outside"

    def test_a_missing_variable_is_named(self, secrets: SecretStore) -> None:
        with pytest.raises(SecretNotFound, match="B2BRECS_ABSENT"):
            secrets.get(Secret("env:B2BRECS_ABSENT"))

    def test_the_environment_is_not_written(self, secrets: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("B2BRECS_TEST_SECRET", "from outside")
        for change in (
            lambda: secrets.put(Secret("env:B2BRECS_TEST_SECRET"), "hunter2"),
            lambda: secrets.delete(Secret("env:B2BRECS_TEST_SECRET")),
        ):
            with pytest.raises(B2BRecsError, match="B2BRECS_TEST_SECRET") as caught:
                change()
            assert "hunter2" not in str(caught.value)
        assert secrets.get(Secret("env:B2BRECS_TEST_SECRET")) == "from outside"

    def test_the_other_homes_scheme_is_refused(self, secrets: SecretStore, home: str) -> None:
        other = Secret("gcp:erp" if home == "local" else "keyring:erp")
        for use in (lambda: secrets.get(other), lambda: secrets.put(other, "hunter2"), lambda: secrets.delete(other)):
            with pytest.raises(B2BRecsError, match=other.reference) as caught:
                use()
            assert "hunter2" not in str(caught.value)

    def test_no_secret_shows(
        self, secrets: SecretStore, secret: Secret, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with caplog.at_level("DEBUG"):
            secrets.put(secret, "hunter2")
            assert secrets.get(secret) == "hunter2"
            secrets.delete(secret)
        printed = capsys.readouterr()
        assert "hunter2" not in repr(secrets) + str(vars(secrets)) + caplog.text + printed.out + printed.err
