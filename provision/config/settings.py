"""What an inventory file may say: how hosts are reached, and which belong together."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator
from pydantic import WithJsonSchema as JsonSchema

from provision.config.hosts import Connection
from provision.config.model import (
    PATTERN_NAME,
    Called,
    Model,
    Name,
    OneOrMany,
    Port,
    Text,
    host_path,
    reject,
    shaped,
)
from provision.config.model import name as checked_name
from provision.config.problems import ConfigError
from provision.config.ranges import expand


def _checks_host_keys(option: str) -> str:
    words = option.lower().replace("=", " ").split()
    if words[:1] in (["stricthostkeychecking"], ["-ostricthostkeychecking"]) and words[1:] not in (
        ["yes"],
        ["accept-new"],
    ):
        raise reject(
            "host-key-checking", "host keys are always checked", "accept-new trusts a host at first sight"
        )
    return option


def _names(value: str) -> str:
    """Check a name, or each of those that a range stands for."""
    try:
        names = expand(value)
    except ConfigError as error:
        (problem,) = error.problems
        raise reject(problem.code, problem.message, problem.hint) from None
    for each in names:
        checked_name(each)
    return value


def _group_name(value: str) -> str:
    checked_name(value.lstrip("_"))
    return value


def _home_path(value: str) -> str:
    """Check a path that may begin at the user's home."""
    host_path(value[1:] if value.startswith("~/") else value)
    return value


Address = Annotated[
    str,
    shaped(
        r"[^\s@-][^\s@]*",
        "a name or an address",
        "write 10.0.0.12, gpu-1.lan or an alias of ssh_config; whom to log in as is `user`",
    ),
]
Login = Annotated[str, shaped(r"[^\s-]\S*", "the name of a user", "write ops")]
SshOption = Annotated[Text, AfterValidator(_checks_host_keys)]
_RANGE = r"[A-Za-z0-9._-]*(\[[A-Za-z0-9]+:[A-Za-z0-9]+(:[0-9]+)?\][A-Za-z0-9._-]*)+"
HostNames = Annotated[
    str,
    AfterValidator(_names),
    JsonSchema({"type": "string", "pattern": f"^({PATTERN_NAME}|{_RANGE})$"}),
]
"""The name of a host, or a range of names."""


GroupName = Annotated[
    str, AfterValidator(_group_name), JsonSchema({"type": "string", "pattern": f"^_*{PATTERN_NAME}$"})
]
"""The name of a group: no part of a path, so it may begin with _, as those of cloud inventories do."""
HomePath = Annotated[str, AfterValidator(_home_path), JsonSchema({"type": "string", "pattern": "^(/|~/)"})]
"""An absolute path, or one below the user's home."""


HostGpus = Annotated[
    str, shaped(r"([1-9][0-9]*x)?[A-Za-z][A-Za-z0-9 -]*", "GPUs of a host", "write H100, or 8xH200 for eight")
]
"""A GPU by its name, or several of one kind."""


class Settings(Model):
    """How hosts are reached."""

    elsewhere: ClassVar[str | None] = "host"

    connection: Connection | None = None
    """How to reach it. Default: ssh; for `localhost`, local."""
    address: Address | None = None
    """Name, address or ssh_config alias to connect to. Default: the name of the host."""
    port: Port | None = None
    """SSH port; not set: what ssh_config says."""
    user: Login | None = None
    """User to log in as; not set: what ssh_config says."""
    become: bool = False
    """Become root by sudo."""
    identity_file: Text | None = None
    """SSH key; not set: what ssh_config and the agent say."""
    ssh_options: list[SshOption] = []
    """More for ssh: `Name=value` as in ssh_config, or ssh's own arguments, each item one argument."""
    python: Annotated[str, shaped(r"[A-Za-z0-9_./+-]+", "a Python interpreter", "write python3.12")] = (
        "python3"
    )
    """The Python to run on the host: a name or a path; 3.8 or later."""
    prefix: HomePath | None = None
    """Where everything goes; on this machine it may begin with `~/`.

    Default: /opt/provision; on this machine without root, ~/.local/share/provision.
    """
    supervisor: Literal["systemd", "script"] | None = None
    """What keeps the services of the host running, unless they say so themselves."""
    gpus: Annotated[list[HostGpus], OneOrMany(), Called("text, or a list of texts")] = []
    """The GPUs that it has, such as 8xH200, or [4xH100, 2xL40S] in the order of their indices. With it,
    `validate` says which services cannot run on them; without it, only `plan` can.
    """
    engine: Literal["docker", "podman"] | None = None
    """For `connection: container`: the engine. Default: the one that is there."""
    container: Name | None = None
    """For `connection: container`: the container's name. Default: the name of the host."""
    on: Name | None = None
    """For `connection: container`: the host that runs the engine. Default: this machine."""


class HostFields(Settings):
    """How a host is reached."""

    vars: dict[str, Any] | None = None
    """Variables of this host."""


class GroupFields(Settings):
    """Hosts that belong together, and how they are reached unless they say so themselves."""

    hosts: list[Text] | None = None
    """Names of hosts, globs such as gpu-*, or ranges such as gpu-[01:40]."""
    groups: list[GroupName] | None = None
    """Groups whose hosts belong to this one, too."""
    vars: dict[str, Any] | None = None
    """Variables of all its hosts."""


class InventoryFile(Settings):
    """One inventory file. Its settings of connections are for all hosts that have none of their own."""

    vars: dict[str, Any] | None = None
    """Variables of all hosts."""
    hosts: dict[HostNames, HostFields | None] | None = None
    """Hosts by name; a range such as gpu-[01:40] stands for many that are alike."""
    groups: dict[GroupName, GroupFields | None] | None = None
    """Groups by name."""


NAMES = tuple(Settings.model_fields)
"""The keys by which a host is reached."""

ONLY_FOR: dict[str, Connection] = {
    "address": "ssh",
    "port": "ssh",
    "identity_file": "ssh",
    "ssh_options": "ssh",
    "engine": "container",
    "container": "container",
    "on": "container",
}
"""Keys that have a meaning for one connection alone."""


def fits(key: str, connection: str) -> bool:
    """Whether a key has a meaning for a connection."""
    if key == "user":
        return connection != "local"
    return ONLY_FOR.get(key, connection) == connection
