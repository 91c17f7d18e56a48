"""References to secrets. The secret itself lives in the OS keyring, the environment or Secret Manager."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import GetPydanticSchema
from pydantic_core import core_schema

from b2brecs.errors import ConfigError

SCHEMES = ("keyring", "env", "gcp")
_PATTERN = re.compile(r"^(keyring|env|gcp):[A-Za-z0-9_.\-/]{1,200}$")


class Secret:
    """Where a secret is kept: ``Secret("keyring:erp")``, ``Secret("env:ERP_PASSWORD")``, ``Secret("gcp:erp")``.

    Raises
    ------
    ConfigError
        The text is not a reference. The text itself is not repeated, as it may be the secret.
    """

    __slots__ = ("reference",)
    reference: str

    def __init__(self, reference: str) -> None:
        if not _PATTERN.match(reference):
            raise ConfigError.single(
                "Secret", "", "****", "this is not a reference to a secret.",
                "Store the secret with ws.secrets.put('keyring:erp') and write Secret('keyring:erp'); "
                "or name an environment variable: Secret('env:ERP_PASSWORD').",
            )  # fmt: skip
        object.__setattr__(self, "reference", reference)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Secret does not change")

    @property
    def scheme(self) -> str:
        """``keyring``, ``env`` or ``gcp``."""
        return self.reference.split(":", 1)[0]

    @property
    def key(self) -> str:
        """The name under that scheme."""
        return self.reference.split(":", 1)[1]

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reference == self.reference

    def __hash__(self) -> int:
        return hash(self.reference)


def _schema(_source: Any, _handler: Any) -> core_schema.CoreSchema:
    def read(value: Any) -> Secret:
        return value if isinstance(value, Secret) else Secret(str(value))

    return core_schema.no_info_plain_validator_function(
        read, serialization=core_schema.plain_serializer_function_ser_schema(lambda secret: secret.reference)
    )


SecretRef = Annotated[Secret, GetPydanticSchema(_schema)]
