"""Writes the generated parts of the documentation: tables of keys, JSON Schemas for editors, the findings.

`python docs/reference.py` updates them; a test compares the files with the code. In a page, the text between
`<!-- keys of NAME -->` and `<!-- end -->` is such a table.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic_core import PydanticUndefined

from provision.config import model, playbook, references, resources, rollout, settings
from provision.config.model import Model
from provision.config.schema import schema
from provision.config.secrets import Secret
from provision.config.services import arguments, base, checks, engine_options, gpus, nodes, sandbox
from provision.config.services.any import SERVICES
from provision.findings import areas
from provision.kinds.gateway import fields as gateway

DOCS = Path(__file__).resolve().parent
PAGES = ("playbook.md", "multi-node.md", "inventory.md")
SCHEMAS = ("playbook", "inventory")

MODELS: dict[str, tuple[str, type[Model]]] = {
    "a host": ("inventory", settings.HostFields),
    "a group of hosts": ("inventory", settings.GroupFields),
    "a play": ("playbook", playbook.PlayFields),
    "rollout": ("playbook", rollout.Rollout),
    "a group": ("playbook", resources.Group),
    "a user": ("playbook", resources.User),
    "a directory": ("playbook", resources.Directory),
    "a file": ("playbook", resources.File),
    "a command": ("playbook", resources.Task),
    "an environment": ("playbook", resources.Environment),
    "a model": ("playbook", resources.ModelSource),
    "every service": ("playbook", base.Service),
    "tls": ("playbook", base.Tls),
    "a check": ("playbook", checks.Check),
    "sandbox": ("playbook", sandbox.Sandbox),
    "transcribe": ("playbook", checks.Transcribe),
    **{f"{kind} services": ("playbook", service) for kind, service in SERVICES.items()},
    "nodes": ("playbook", nodes.Nodes),
    "limits of a gateway": ("playbook", gateway.Limits),
    "timeouts of a gateway": ("playbook", gateway.Timeouts),
    "metrics of a gateway": ("playbook", gateway.Metrics),
}
"""The name of a table in a page, with the schema and the model that it comes from."""

WORDS: list[tuple[Any, str]] = [
    (model.Text, "text"),
    (model.Line, "text"),
    (model.Lines, "text"),
    (model.Name, "name"),
    (model.EnvName, "name of a variable"),
    (model.UnixName, "Unix name"),
    (model.HostPath, "absolute path"),
    (settings.GroupName, "name"),
    (settings.HomePath, "absolute path"),
    (model.Port, "port"),
    (model.Count, "whole number, 1 or more"),
    (model.NotNegative, "whole number, 0 or more"),
    (model.Share, "number above 0, at most 1"),
    (model.PositiveDuration, "duration above 0"),
    (model.Duration, "duration"),
    (model.ByteSize, "size"),
    (model.FileMode, "mode in octal"),
    (model.Command, "text for sh, or a list of arguments"),
    (model.Tags, "name, or a list of them"),
    (gpus.VisibleGpus, "list of indices or UUIDs"),
    (gpus.GivenGpus, "all, or a list of indices or UUIDs"),
    (engine_options.User, "user, as a number or a name"),
    (engine_options.Group, "name or number"),
    (engine_options.Device, "device"),
    (engine_options.Capability, "capability"),
    (engine_options.Ulimits, "mapping"),
    (engine_options.Labels, "mapping, or a list of `name=value`"),
    (engine_options.Sysctls, "mapping, or a list of `name=value`"),
    (engine_options.ExtraHosts, "mapping, or a list of `name:address`"),
    (engine_options.Addresses, "address, or a list of them"),
    (engine_options.TmpfsMounts, "path, or a list of them"),
    (engine_options.Signal, "signal"),
    (sandbox.Lifted, "no"),
    (sandbox.LiftedHome, "no, read-only"),
    (sandbox.LiftedSystem, "no, yes, full"),
    (arguments.Arguments, "list of text, numbers, mappings or lists"),
    (resources.Content, "text, or a secret"),
    (resources.Url, "URL"),
    (base.Env, "mapping of text or secrets"),
    (references.ApiKeys, "secret, or a list of them"),
    (Secret, "secret"),
    (bool, "true or false"),
    (int, "whole number"),
    (float, "number"),
    (str, "text"),
    (Any, "anything"),
]
"""The words for the types of fields, the specific before the general."""

SPECIAL = {
    ("PlayFields", "rollout"): "mapping",
    ("Rollout", "serial"): "number of hosts, or a share such as 25%",
    ("Rollout", "max_failures"): "number of hosts, or a share such as 25%",
    ("Sandbox", "AmbientCapabilities"): "list of capabilities",
    ("Sandbox", "RestrictAddressFamilies"): "no, or a list of address families",
    ("Check", "body"): "text, or a mapping",
    ("Check", "chat"): "text, or a mapping of `system` and `user`",
    ("Check", "status"): "whole number from 100 to 599, or a list of them",
    ("PlayFields", "hosts"): "host pattern, or a list of them",
    ("Service", "kind"): ", ".join(SERVICES),
}
"""The words for fields whose validator says more than their type."""


def words(kind: Any) -> str:
    """Return the words for a type."""
    for known, name in WORDS:
        if kind == known:
            return name
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(str(argument) for argument in arguments)
    if origin is Annotated:
        ranges = [each for each in arguments[1:] if isinstance(each, model.Range)]
        if ranges:
            return ranges[0].describe().removeprefix("a ")
        called = [each.words for each in arguments[1:] if isinstance(each, model.Called)]
        # The last annotation may say nothing about the value: without it the type may be a known one.
        return called[-1] if called else words(Annotated[arguments[:-1]] if arguments[2:] else arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(words(argument) for argument in arguments if argument is not NoneType)
    if origin is list:
        return f"list of {words(arguments[0])}"
    return "mapping"


def default(field: Any, kind: Any) -> str:
    """Return a default as it is written in YAML; empty when the description tells the default."""
    value = field.default
    if field.is_required() or value is PydanticUndefined:
        return "required"
    if value is None or value in ([], {}) or isinstance(value, Model):
        return ""
    if words(kind) == "size":
        return f"{value >> 20}MiB" if value % (1 << 20) == 0 else f"{value >> 10}KiB"
    if isinstance(value, bool):
        return str(value).lower()
    if kind in (model.Duration, model.PositiveDuration):
        return f"{value / 60:g}m" if value >= 300 else f"{value:g}s"
    return f"{value:g}" if isinstance(value, float) else str(value)


def table(name: str) -> str:
    """Return the table of the keys of one model."""
    document, kind = MODELS[name]
    told = schema(document)["$defs"][kind.__name__]["properties"] if kind is not base.Service else None
    told = told or schema(document)["$defs"][next(iter(SERVICES.values())).__name__]["properties"]
    common = set(base.Service.model_fields) if kind in SERVICES.values() else set()
    common -= set(kind.__annotations__) - {"kind"}  # the kind describes these itself
    if kind is settings.GroupFields:
        common = set(settings.Settings.model_fields)
    hints = get_type_hints(kind, include_extras=True)
    rows = ["| key | value | default | |", "|---|---|---|---|"]
    for field_name, field in kind.model_fields.items():
        key = field.alias or field_name
        if field_name in common:
            continue
        meaning = re.sub(r"\s+", " ", told[key]["description"]).strip().replace("|", "\\|")
        value = SPECIAL.get((kind.__name__, field_name)) or words(hints[field_name])
        rows.append(f"| `{key}` | {value} | {default(field, hints[field_name])} | {meaning} |")
    return "\n".join(rows)


def with_tables(text: str) -> str:
    """Return a page with its tables updated."""

    def renew(found: re.Match[str]) -> str:
        return f"<!-- keys of {found[1]} -->\n{table(found[1])}\n<!-- end -->"

    return re.sub(r"<!-- keys of ([^>]+?) -->\n.*?<!-- end -->", renew, text, flags=re.DOTALL)


def findings() -> str:
    """Return the page of all codes."""
    parts = [
        "# Findings",
        "Every error, warning and note ends with a code in brackets, and carries it as `code` with "
        "`--output json`. A code stands for a class of faults and stays the same from release to release, so "
        "that scripts can use it. `provision explain CODE` prints the same text.",
    ]
    for area, entries in areas().items():
        parts.append(f"## {area}")
        for code, entry in entries.items():
            given = "\n\n".join(filter(None, (entry.inventory, entry.playbook)))
            example = f"```\n{given}\n{entry.example}\n```" if given else f"```\n{entry.example}\n```"
            parts += [f"### {code}", f"{entry.title}. {entry.cause} {entry.way_out}", example]
    return "\n\n".join(parts) + "\n"


def files() -> dict[Path, str]:
    """Return the right content of every file that comes from the code, wholly or in part."""
    found = {DOCS / name: with_tables((DOCS / name).read_text(encoding="utf-8")) for name in PAGES}
    for kind in SCHEMAS:
        text = json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n"
        found[DOCS / "schema" / f"{kind}.json"] = text
    found[DOCS / "findings.md"] = findings()
    return found


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
