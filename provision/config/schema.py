"""JSON Schema (draft 2020-12) of playbooks and inventories, for editors."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, Literal

from pydantic.json_schema import models_json_schema

from provision.config.model import Model
from provision.config.playbook import PlayFields
from provision.config.settings import InventoryFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEMPLATE = {"type": "string", "pattern": r"\{\{.*\}\}"}
_OWN_KEYS = "^x-"
_WITHOUT_TEMPLATES = frozenset({"hosts", "kind", "vars", "tags"})
"""Keys that are read before, or without, rendering."""


def schema(kind: Literal["playbook", "inventory"] | str) -> dict[str, Any]:
    """The schema of a playbook or an inventory.

    Wherever a value may be the result of a template, a string with `{{ }}` is allowed as well, and keys that
    begin with `x-` are allowed everywhere.
    """
    root, title = (PlayFields, "playbook") if kind == "playbook" else (InventoryFile, "inventory")
    _, definitions = models_json_schema([(root, "validation")], by_alias=True, ref_template="#/$defs/{model}")
    models = {model.__name__: model for model in _models(root)}
    templated = {
        name: _model(name, definition, models.get(name)) for name, definition in definitions["$defs"].items()
    }
    whole: dict[str, Any] = {"$schema": DIALECT, "title": f"provision {title}"}
    if root is PlayFields:
        whole |= {"type": "array", "minItems": 1, "items": {"$ref": f"#/$defs/{root.__name__}"}}
    else:
        whole |= {"$ref": f"#/$defs/{root.__name__}"}
    return {**whole, "$defs": templated}


def _models(root: type[Model]) -> Iterator[type[Model]]:
    """Every model of the package."""
    waiting: list[type[Model]] = [Model]
    while waiting:
        model = waiting.pop()
        yield model
        waiting += model.__subclasses__()


def _model(name: str, definition: dict[str, Any], model: type[Model] | None) -> dict[str, Any]:
    """One definition: described by the docstrings of its class, open to `x-` keys and templates."""
    if "properties" not in definition:
        return _templated(definition)
    told = _docstrings(model) if model is not None else {}
    properties = {}
    for key, value in definition["properties"].items():
        new = value if key in _WITHOUT_TEMPLATES else _templated(value)
        if "additionalProperties" in value or "patternProperties" in value:
            # A whole section from one template would leave an editor nothing to complete.
            new = next((branch for branch in new.get("anyOf", ()) if branch.get("type") == "object"), new)
        new = {name: part for name, part in new.items() if name != "title"}
        if key in told:
            new = {**new, "description": told[key]}
        properties[key] = new
    changed = {**definition, "properties": properties, "patternProperties": {_OWN_KEYS: {}}}
    return {key: value for key, value in changed.items() if key != "title"}


def _templated(value: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value that may come from a template."""
    if "$ref" in value:
        return {**_annotations(value), "anyOf": [{"$ref": value["$ref"]}, _TEMPLATE]}
    inner = {key: part for key, part in value.items() if key not in ("title", "discriminator")}
    if "oneOf" in inner:
        return _by_kind(value["discriminator"]["mapping"])
    if "anyOf" in inner:
        branches = [branch for part in inner["anyOf"] for branch in _branches(part)]
        return {**_annotations(inner), "anyOf": [*branches, _TEMPLATE]}
    if "items" in inner:
        inner["items"] = _templated(inner["items"])
    if isinstance(inner.get("additionalProperties"), dict):
        inner["additionalProperties"] = _entry(inner["additionalProperties"])
        inner["patternProperties"] = {_OWN_KEYS: {}}
        # A key may be a template, too, so its form cannot be required here.
        inner.pop("propertyNames", None)
    if "patternProperties" in value:
        names = [_entry(part) for part in value["patternProperties"].values()]
        inner |= {"additionalProperties": names[0], "patternProperties": {_OWN_KEYS: {}}}
    if not {"pattern", "enum", "const"} & set(inner) and inner.get("type") in (None, "string"):
        return inner
    notes = _annotations(inner)
    rest = {key: part for key, part in inner.items() if key not in notes}
    return {**notes, "anyOf": [rest, _TEMPLATE]}


def _entry(value: dict[str, Any]) -> dict[str, Any]:
    """The schema of a named entry; a template beside it would keep an editor from looking inside."""
    return value if "$ref" in value else _templated(value)


def _by_kind(references: dict[str, str]) -> dict[str, Any]:
    """The schema of values told apart by `kind`: an editor then complains about the right one only."""
    cases = [
        {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": {"$ref": reference}}
        for kind, reference in sorted(references.items())
    ]
    kinds = {"enum": sorted(references), "description": "What runs."}
    return {"type": "object", "required": ["kind"], "properties": {"kind": kinds}, "allOf": cases}


def _branches(part: dict[str, Any]) -> list[dict[str, Any]]:
    if part.get("type") == "null" or "$ref" in part:
        return [part]
    templated = _templated(part)
    return [branch for branch in templated.get("anyOf", [templated]) if branch != _TEMPLATE]


def _annotations(value: dict[str, Any]) -> dict[str, Any]:
    return {key: value[key] for key in ("description", "default") if key in value}


def _docstrings(model: type[Model]) -> dict[str, str]:
    """What stands below each field of a class and of those it extends, by the field's key in YAML."""
    told: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not (isinstance(base, type) and issubclass(base, Model) and base is not Model):
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                name = field.target.id
                alias = model.model_fields[name].alias if name in model.model_fields else None
                told[alias or name] = text.value.value
    return told
