"""Resources as requests name them, made by the contract's own records."""

from __future__ import annotations

from typing import Any

from provision.wire.requests import Entry
from provision.wire.spec import Spec


def entry(id: str, spec: Spec, *, playbook: str = "site", **more: Any) -> dict[str, Any]:
    """Return one resource of a request; its id is `type:name`, and `more` are other fields of `Entry`."""
    base = Entry(
        id=id,
        type=id.partition(":")[0],
        label=id,
        needs=[],
        triggers=[],
        followers={},
        playbooks=[playbook],
        service=None,
        spec=spec.plain(),
    )
    return base.replace(**more).plain()


def type_of(spec: Spec) -> str:
    """Return the resource type that a record belongs to: its module has that name."""
    return type(spec).__module__.rpartition(".")[2]
