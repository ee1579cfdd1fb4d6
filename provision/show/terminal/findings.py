"""A finding on one line: what it says, the way out, and at the end its code, which `explain` knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provision.show.terminal.style import QUIET, paint

if TYPE_CHECKING:
    from provision.show.report import HostReport
    from provision.wire.finding import Finding


def coded(text: str, code: str) -> str:
    """Return a line with a code at its end, such as `… [unknown-key]`."""
    return f"{text} {paint(f'[{code}]', QUIET)}"


def sentence(finding: Finding) -> str:
    """Return a finding without its place and log."""
    return coded(finding.sentence(), finding.code)


def located(finding: Finding) -> str:
    """Return a finding with its place, without its log."""
    return f"{finding.where}: {sentence(finding)}" if finding.where else sentence(finding)


def note(finding: Finding, about: str | None = None) -> None:
    """Print a finding that stops nothing to standard error; `about` names its hosts."""
    click.echo(f"note: {f'{about}: ' if about else ''}{located(finding)}", err=True)


def cause(host: HostReport) -> str | None:
    """Return in one line why nothing could be done on a host; None if something could."""
    trouble = host.unreachable or host.error
    return sentence(trouble.finding) if trouble else None
