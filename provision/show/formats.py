"""Which output formats there are, and for which verbs; their options follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, TextIO

if TYPE_CHECKING:
    from provision.show.items import Run
    from provision.show.writer import Writer


class Format(NamedTuple):
    """One output format.

    Args:
        maker: `module:name` of its `Writer`.
        about: what it is, for `--help`.
        verbs: those that offer it; None for all that have `--output`.
        file: it is written to a file by an option of its name, rather than chosen by `--output`.
    """

    maker: str
    about: str = ""
    verbs: Sequence[str] | None = None
    file: bool = False

    def writer(self, run: Run, out: TextIO) -> Writer:
        """Return what writes a run to `out`."""
        module, _, name = self.maker.partition(":")
        writer: Writer = getattr(import_module(module), name)(run, out)
        return writer


TEXT = "text"
"""The format for people, which is the default."""

FORMATS = {
    TEXT: Format("provision.show.terminal:open_screen"),
    "json": Format("provision.show.jsonl:JsonLines", "one versioned object per line"),
    "github": Format(
        "provision.show.annotations:WorkflowCommands", "workflow commands", ("validate", "plan")
    ),
    "gitlab": Format("provision.show.annotations:CodeQuality", "a Code Quality report", ("validate", "plan")),
    "junit": Format(
        "provision.show.junit:JUnit",
        "JUnit XML: one case per check and per failed step",
        ("plan", "apply", "verify"),
        file=True,
    ),
}
"""All formats by name, which is the value of `--output`, or the option for a file."""


def offered(verb: str, *, file: bool = False) -> dict[str, Format]:
    """Return the formats that a verb has on standard output, or for files."""
    return {
        name: each
        for name, each in FORMATS.items()
        if each.file == file and (each.verbs is None or verb in each.verbs)
    }
