"""What a service has run with: who changed it, when, from which commit, and how that went."""

from __future__ import annotations

from provision.wire.record import Record

BEGUN = "begun"
PROVEN = "proven"
FAILED = "failed"
ROLLED_BACK = "rolled back"
BY_HAND = "by hand"
"""What has become of a revision. `begun`: nothing yet; if no run goes on, it was interrupted."""


class Origin(Record):
    """Where playbooks come from: the commit of their git repository; `dirty`: files differ from it."""

    commit: str
    dirty: bool


class Revision(Record):
    """One attempt to change what a service runs with.

    - `number`: counts up for each service on each host
    - `when`: seconds since 1970; `who`: the person and the machine; None: of a version that did not note it
    - `commit`, `dirty`: of the playbooks; None outside of a git repository
    - `changes`: what changed, in words
    - `outcome`: one of those above; `back_to`: by hand, the revision that was gone back to
    - `ignored`: codes of foreseen errors in spite of which it was applied
    - `change`: the id of the apply, the same on all nodes of a service; empty: of a version without it
    - `kept`: it can be gone back to; `current`: the service has last answered with it
    """

    number: int
    when: float
    who: str | None
    commit: str | None = None
    dirty: bool = False
    changes: list[str] = []
    outcome: str = BEGUN
    back_to: int | None = None
    ignored: list[str] = []
    change: str = ""
    kept: bool = False
    current: bool = False
