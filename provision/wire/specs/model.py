"""A model: a directory with its files."""

from __future__ import annotations

from typing import Any

from provision.wire.record import Record, many, one
from provision.wire.spec import Placed


class Expectation(Record):
    """What one service takes a model for, by the class that the model's own configuration names.

    - `service`: its name
    - `files`: what each fitting class cannot do without
    - `misfits`: what to say of other classes (empty: none is named)
    - `otherwise`: what to say of one that is not known; `{class}` stands for it
    """

    service: str
    files: dict[str, list[str]]
    misfits: dict[str, str]
    otherwise: str


class LockedModel(Record):
    """The files that a model has come to.

    - `lock`: the file that says so, for people; empty: as it was found
    - `commit`: of the hub; None: it tells none
    - `files`: their sha256 by path
    """

    lock: str = ""
    commit: str | None
    files: dict[str, str]


class ModelSpec(Placed):
    """A model and where it comes from.

    - `stem`: where it is known by its name, and where older versions had it: a link to the one in use; None:
      there is only the one at `path`
    - `source`: `modelscope`, `huggingface`, or `path` for one that somebody else brings
    - `repo`, `revision`, `endpoint`, `token`: on the hub; for `path`: the path, and no revision
    - `allow`, `ignore`: patterns of the files that are wanted, and of those that are not
    - `python`: the interpreter with the hub's library; `workers`: downloads at once
    - `required`: files that its services cannot do without
    - `made_by`: what may bring a model of source `path`, in words; empty: nothing
    - `locked`: what a lock has; None: nothing is locked
    """

    stem: str | None = None
    source: str
    repo: str
    revision: str = ""
    allow: list[str] = []
    ignore: list[str] = []
    endpoint: str | None = None
    token: str | None = None
    python: str | None = None
    workers: int = 4
    required: list[str] = []
    expects: list[Expectation] = many(Expectation, default=[])
    made_by: list[str] = []
    locked: LockedModel | None = one(LockedModel, default=None)


def title(of: Any) -> str:
    """Return a snapshot in a few words: "modelscope owner/name@master, only *.json, without *.bin".

    `of`: a `ModelSpec`, or what has the same fields `source`, `repo`, `revision`, `allow` and `ignore`.
    """
    only = ", only " + " ".join(sorted(of.allow)) if of.allow else ""
    without = ", without " + " ".join(sorted(of.ignore)) if of.ignore else ""
    return f"{of.source} {of.repo}@{of.revision}{only}{without}"
