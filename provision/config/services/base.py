"""What every kind of service has: supervision, environment variables, and checks that prove it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, PlainValidator, model_validator
from pydantic import WithJsonSchema as JsonSchema

from provision.config.documents import Part
from provision.config.model import (
    EnvName,
    HostPath,
    Model,
    PositiveDuration,
    Tags,
    Text,
    UnixName,
    one_line,
    reject,
    unique,
)
from provision.config.problems import found
from provision.config.references import ONE_KEY, SecretReference, parse_secret
from provision.config.services.checks import Check
from provision.config.services.sandbox import Sandbox


@dataclass(frozen=True)
class Listener:
    """A port of the host that a service takes: by `address` (None: every address).

    Of a service that runs over several hosts, only the first takes one that is of the `head`.
    """

    loc: tuple[Part, ...]
    address: str | None
    port: int
    protocol: str = "tcp"
    head: bool = False


def _env_value(value: Any) -> Any:
    if isinstance(value, dict):
        return parse_secret(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        hint = "put it in quotes" if isinstance(value, (bool, float)) else None
        raise reject("wrong-type", f"expected text or a reference to a secret, found {found(value)}", hint)
    return one_line(value)


EnvValue = Annotated[
    str | SecretReference,
    PlainValidator(_env_value),
    JsonSchema({"anyOf": [{"type": ["string", "integer"]}, ONE_KEY]}),
]
"""One line of text (a whole number counts as text), or a secret."""

Env = dict[EnvName, EnvValue]
"""Environment variables."""


class Service(Model):
    """The fields that every kind of service has."""

    kind: str
    """What runs: one of the kinds of services."""
    supervisor: Literal["systemd", "script"] | None = None
    """What keeps it running.

    Default: what the host says; else systemd where root may be used and it runs, and a script elsewhere and
    in containers.
    """
    user: UnixName | None = None
    """The user to run as. Default: the system user `provision` under systemd, else whoever applies."""
    env: Env = {}
    """Environment variables of the service: text, or references to secrets."""
    checks: list[Check] = []
    """Requests that prove the service after a start, and on `provision verify`."""
    tags: Tags = []
    """Words to select this service by (`--tags`)."""
    start_timeout: PositiveDuration = 1200.0
    """How long a start may take until the first answer. The wait for its turn on a GPU does not count."""
    stop_timeout: PositiveDuration = 60.0
    """How long a stop may take until it is forced."""
    writable: Annotated[list[HostPath], AfterValidator(unique)] = []
    """Directories that it writes to, beside those that are known by a variable or an argument."""
    sandbox: Sandbox | None = None
    """Restrictions to remove from its unit, with systemd's names: `{PrivateTmp: no}`."""

    def listeners(self) -> Iterator[Listener]:
        """The ports of the host that this service takes."""
        yield from ()

    def fronts(self) -> list[str]:
        """The services, of this and of other hosts, that this service passes requests to."""
        return []


class Tls(Model):
    """The certificate by which a server of provision's own speaks TLS."""

    cert: HostPath
    """The certificate, with those of its issuers, in PEM: a file on the host."""
    key: HostPath
    """Its private key, in PEM: a file on the host that the user of the service can read."""
    ca: HostPath | None = None
    """The CA that checks verify the certificate by: a file on the host. Default: checks do not verify it."""


class SpokenTls(Model):
    """TLS of a server that is started by its own command line."""

    cert: HostPath | None = None
    """The file with its certificate, when a change of it is to restart the service."""
    key: HostPath | None = None
    """The file with its key, likewise."""
    ca: HostPath | None = None
    """The CA that checks verify the certificate by: a file on the host. Default: checks do not verify it."""


class Spoken(Service):
    """How to speak to a server that is started by its own command line, or that is in a container."""

    tls: SpokenTls | None = None
    """Says that it speaks TLS, so that checks do: `{}`, or `{ca: PATH}` to verify its certificate."""
    served_model_name: Text | None = None
    """The model that checks ask for. Default: what `--served-model-name` in the command says, else the first
    that the server names.
    """
    api_key_env: EnvName | None = None
    """The variable (of `env:`) with the key that clients must send; checks send it. Default: VLLM_API_KEY,
    LLAMA_API_KEY or INFINITY_API_KEY, if `env` has it.
    """

    @model_validator(mode="after")
    def _has_its_key(self) -> Self:
        # A container may have the variable from a file of the host, too.
        if self.api_key_env is None or self.api_key_env in self.env or getattr(self, "env_file", None):
            return self
        message = f"there is no variable `{self.api_key_env}` in `env`"
        raise reject("missing-key", message, f"add {self.api_key_env}: {{env: NAME}} to it", at="api_key_env")
