"""What a play may declare besides services: packages, users, files, commands, environments, models."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetPydanticSchema,
    PlainValidator,
    model_validator,
)
from pydantic import WithJsonSchema as JsonSchema
from pydantic_core import core_schema

from provision.config import requirements
from provision.config.model import (
    Command,
    Duration,
    FileMode,
    HostPath,
    Model,
    Name,
    NotNegative,
    OrNothing,
    Range,
    Text,
    UnixName,
    matching,
    nothing_but,
    one_of,
    reject,
    shaped,
)
from provision.config.problems import found, quoted
from provision.config.references import ONE_KEY, SecretReference, parse_secret
from provision.config.secrets import Secret
from provision.config.services.base import Env

_APT = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9][A-Za-z0-9.+:~-]*)?")
_URL = re.compile(r"(https?|file)://[^\s]+")
_PASSWORD_IN_URL = re.compile(r"[a-z]+://[^/@\s]*:[^/@\s]*@")


def _apt_package(value: str) -> str:
    if not _APT.fullmatch(value):
        hint = 'write "name" or "name=version"'
        fixed = re.sub(r"\s*[=<>~!]+\s*", "=", value)
        if fixed != value and _APT.fullmatch(fixed):
            hint = f"did you mean `{fixed}`?"
        raise reject("apt-package", f"{quoted(value)} is not an apt package", hint)
    return value


def _no_password(value: str) -> str:
    if _PASSWORD_IN_URL.search(value):
        hint = "let pip's own configuration on the host hold it"
        raise reject("secret-in-yaml", "a password does not belong in the YAML", hint)
    return value


def _url(value: str) -> str:
    if not _URL.fullmatch(value):
        hint = "it begins with https://, http:// or file://"
        raise reject("wrong-form", f"expected a URL, found {found(value)}", hint)
    return _no_password(value)


def _url_or_path(value: str) -> str:
    if value.startswith("/"):
        return value
    if "://" not in value:
        hint = "write the whole path on the host, beginning with /, or a URL"
        raise reject("wrong-path", f"{quoted(value)} is not an absolute path", hint)
    return _url(value)


def _python(value: str) -> str:
    if not re.fullmatch(r"/[^\s\x00-\x1f]*|python(3(\.[0-9]+)?)?|pypy3(\.[0-9]+)?", value):
        hint = "write python3.12, or an absolute path"
        if re.fullmatch(r"3\.[0-9]+", value):
            hint = f"did you mean `python{value}`?"
        raise reject("wrong-form", f"{quoted(value)} is not a Python interpreter", hint)
    return value


def _python_number(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        hint = "write python3.12, or an absolute path"
        raise reject("wrong-form", f"expected a Python interpreter, found {found(value)}", hint)
    return value


AptPackage = Annotated[str, AfterValidator(_apt_package)]


def _requirement(value: str) -> str:
    requirements.parse(_no_password(value))
    return value


def _constraint(value: str) -> str:
    requirements.constraint(_no_password(value))
    return value


Requirement = Annotated[Text, AfterValidator(_requirement)]
Constraint = Annotated[Text, AfterValidator(_constraint)]
Url = Annotated[Text, AfterValidator(_url)]


def _parameter(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        hint = "write 1 or 0" if isinstance(value, bool) else None
        raise reject("wrong-type", f"expected a whole number or text, found {found(value)}", hint)
    return " ".join(str(value).split())


SysctlName = Annotated[
    Text,
    shaped(r"[A-Za-z0-9_-]+([./][A-Za-z0-9_:@-]+)+", "a kernel parameter", "write it such as vm.swappiness"),
]

SysctlValue = Annotated[Text, BeforeValidator(_parameter), JsonSchema({"type": ["integer", "string"]})]
"""A whole number, or text of one line; several spaces count as one."""

Sysctls = dict[SysctlName, SysctlValue]
"""Parameters of the kernel by name."""


class Group(Model):
    """A Unix group."""

    gid: NotNegative | None = None
    """Its number; not set: the next that is free."""
    system: bool = False
    """Whether it gets a number from the range for the system."""


class User(Model):
    """A Unix user."""

    uid: NotNegative | None = None
    """Its number; not set: the next that is free."""
    group: UnixName | None = None
    """Its main group; not set: one of its own name."""
    groups: list[UnixName] = []
    """More groups that it must be in."""
    home: HostPath | None = None
    """Its home directory; not set: what the system decides."""
    shell: HostPath | None = None
    """Its login shell; not set: what the system decides."""
    system: bool = False
    """Whether it gets a number from the range for the system."""


class Directory(Model):
    """A directory."""

    owner: UnixName | None = None
    """The user it belongs to; not set: left as it is."""
    group: UnixName | None = None
    """The group it belongs to; not set: left as it is."""
    mode: FileMode | None = None
    """Permission bits, such as "0755"; not set: left as they are, 0755 when new."""


def _content(value: Any) -> Any:
    if isinstance(value, dict):
        return parse_secret(value)
    if not isinstance(value, str):
        # The value itself is not repeated: the file may be secret.
        number = isinstance(value, (bool, int, float))
        what = "a number or a truth value" if number else found(value)
        hint = "put it in quotes" if number else None
        raise reject("wrong-type", f"expected text or a reference to a secret, found {what}", hint)
    return value


Content = Annotated[
    str | SecretReference,
    PlainValidator(_content),
    JsonSchema({"anyOf": [{"type": "string"}, ONE_KEY]}),
]


class File(Model):
    """A file: from exactly one of `content`, `source` and `template`; or none, when it is `absent`."""

    content: Content | None = None
    """Its text, or a reference to a secret."""
    source: Text | None = None
    """A file to copy, beside the playbook."""
    template: Text | None = None
    """A Jinja2 template, beside the playbook, rendered with the variables of the play."""
    owner: UnixName | None = None
    """The user it belongs to; not set: left as it is."""
    group: UnixName | None = None
    """The group it belongs to; not set: left as it is."""
    mode: FileMode | None = None
    """Permission bits. Default: "0644"; "0600" for a secret."""
    secret: bool = False
    """Whether its text is never shown. A reference to a secret is always one."""
    validator: list[Text] | None = Field(default=None, alias="validate")
    """A command that must accept the new file before it is put in place; `{path}` stands for it."""

    absent: bool = False
    """Whether there must be no such file: an apply removes it, and it is not restored."""

    @model_validator(mode="before")
    @classmethod
    def _secret_content(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("content"), dict):
            return {**data, "secret": data.get("secret", True)}
        return data

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.absent:
            nothing_but(self, "absent", "a file that is `absent`")
            return self
        one_of(self, "a file", ("content", "source", "template"))
        if isinstance(self.content, Secret) and not self.secret:
            message = "a file whose content is a secret cannot be `secret: false`"
            raise reject("conflicting-keys", message, at="secret")
        if self.validator is not None and not any("{path}" in word for word in self.validator):
            message = "`validate` must name the file"
            raise reject("wrong-form", message, "write {path} for its path", at="validate")
        return self


_REBOOT = re.compile(
    r"(/\S*/)?(sudo +)?(reboot|shutdown .*|poweroff|halt|init [06]|systemctl +(reboot|poweroff).*)( .*)?"
)
_FOLLOWED = ("package", "environment", "model")
_REFERENCES = "write a path, {package: NAME}, {environment: NAME} or {model: NAME}"


@dataclass(frozen=True)
class Followed:
    """What a command follows."""

    kind: str
    """path, package, environment or model."""
    name: str


def _followed(value: Any) -> Followed:
    if isinstance(value, Followed):
        return value
    if isinstance(value, str) and value.startswith("/"):
        return Followed("path", value)
    if isinstance(value, dict) and len(value) == 1:
        kind, name = next(iter(value.items()))
        if kind in _FOLLOWED and isinstance(name, str) and name:
            return Followed(kind, name)
        if str(kind).removesuffix("s") in (*_FOLLOWED, "path", "file"):
            singular = str(kind).removesuffix("s")
            hint = f"write {{{singular}: NAME}}" if singular in _FOLLOWED else "write the path alone"
            raise reject("wrong-form", f"`{kind}` is not what a command follows", hint)
    raise reject("wrong-form", f"expected what the command follows, found {found(value)}", _REFERENCES)


Reference = Annotated[
    Followed,
    GetPydanticSchema(lambda _source, _handler: core_schema.no_info_plain_validator_function(_followed)),
    JsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^/"},
                {
                    "type": "object",
                    "properties": {kind: {"type": "string"} for kind in _FOLLOWED},
                    "additionalProperties": False,
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            ]
        }
    ),
]


class Task(Model):
    """A command, run when its guard says so, or after a change; with neither on every apply."""

    run: Command
    """What to run: text for sh, or a list of arguments."""
    creates: HostPath | None = None
    """A path; when it is there, nothing is run."""
    unless: Command | None = None
    """A command; when it succeeds, nothing is run."""
    timeout: Duration = 600.0
    """How long it may take."""
    directory: HostPath | None = None
    """Where to run it; not set: /."""
    when_changed: list[Reference] = []
    """What it follows: it runs after an apply has changed one of these. A path (of `files` or `directories`),
    `{package: NAME}`, `{environment: NAME}` or `{model: NAME}`.
    """
    env: Env = {}
    """Environment variables: text, or references to secrets."""
    user: UnixName | None = None
    """The user to run it as; not set: root, or the user of the connection."""

    @model_validator(mode="after")
    def _no_reboot(self) -> Self:
        text = self.run if isinstance(self.run, str) else " ".join(self.run)
        if _REBOOT.fullmatch(text.strip()):
            message = "a command cannot reboot the host: it would end the run, and each apply would repeat it"
            hint = "reboot by hand between two applies; units start at boot"
            raise reject("reboot-command", message, hint, at="run")
        return self


class Environment(Model):
    """A Python virtual environment."""

    python: Annotated[Text, AfterValidator(_python), BeforeValidator(_python_number)] | None = None
    """The interpreter to create it with: python3.12, or an absolute path. Default: the host's python3."""
    packages: list[Requirement] = []
    """What to install, as for pip: "vllm==0.33.0", "/wheels/NAME-….whl", "NAME @ URL", "git+https://…@v1",
    "-e /src/app". What `-r`, `--pre` and other options of pip say has keys of its own.
    """
    exclude: list[Name] = []
    """Packages that must not be installed, even if others require them."""
    index_url: Url | None = None
    """The package index; not set: what pip's configuration on the host says."""
    extra_index_urls: list[Url] = []
    """More package indexes."""
    find_links: list[Annotated[Text, AfterValidator(_url_or_path)]] = []
    """Directories on the host, or pages, with packages."""
    constraints: list[Constraint] = []
    """Limits on the versions of required packages (`numpy<2`), or files on the host with such limits."""
    installer: Literal["auto", "pip", "uv"] = "auto"
    """What installs: pip, or the faster uv. auto: uv if it can follow the host's pip settings, else pip."""
    path: HostPath | None = None
    """Where it is; it may exist already. Default: below the prefix."""


_OWNED = r"[A-Za-z0-9_][A-Za-z0-9._-]*/[A-Za-z0-9._-]+"
_OLD = r"[A-Za-z0-9][A-Za-z0-9._-]*"
"""The few models of Hugging Face that have no owner, such as gpt2."""


def _hub_id(pattern: str) -> AfterValidator:
    return AfterValidator(matching(pattern, "{} is not the id of a model", "write owner/name"))


class ModelSource(Model):
    """A model: from exactly one of `modelscope`, `huggingface` and `path`."""

    modelscope: Annotated[str, _hub_id(_OWNED)] | None = None
    """An id on ModelScope, owner/name."""
    huggingface: Annotated[str, _hub_id(f"{_OWNED}|{_OLD}")] | None = None
    """An id on Hugging Face, owner/name."""
    path: HostPath | None = None
    """A directory that is on the host already."""
    revision: Text | None = None
    """Branch, tag or commit. Default: master on ModelScope, main on Hugging Face."""
    allow: list[Text] = []
    """Globs of files to download; none means all."""
    ignore: list[Text] = []
    """Globs of files not to download."""
    token: SecretReference | None = None
    """The hub's access token."""
    endpoint: Url | None = None
    """Another address of the hub."""
    directory: HostPath | None = None
    """Where it is put. Default: below `model_root` if that variable is set, else below the prefix."""
    environment: Name | None = None
    """The environment that downloads it; needed only when several could."""
    workers: Annotated[int, Range(1, 64)] = 4
    """Files to download at once."""

    @model_validator(mode="before")
    @classmethod
    def _default_revision(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("revision") is None:
            for hub, revision in (("modelscope", "master"), ("huggingface", "main")):
                if data.get(hub) is not None:
                    return {**data, "revision": revision}
        return data

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        one_of(self, "a model", ("modelscope", "huggingface", "path"))
        if self.path is not None:
            nothing_but(self, "path", "a model that is on the host already (`path`)")
        return self


def _source_given(value: Any) -> Any:
    """Refuse a bare text, which does not say which hub it is for."""
    if isinstance(value, str):
        kind = "path" if value.startswith("/") else "modelscope"
        message = f"expected a mapping of keys to values, found {found(value)}"
        raise reject("wrong-type", message, f"write {{{kind}: {value}}}")
    return value


Directories = dict[HostPath, Annotated[Directory, OrNothing()]]
Groups = dict[UnixName, Annotated[Group, OrNothing()]]
Users = dict[UnixName, Annotated[User, OrNothing()]]
Environments = dict[Name, Annotated[Environment, OrNothing()]]
Models = dict[Name, Annotated[ModelSource, BeforeValidator(_source_given)]]
