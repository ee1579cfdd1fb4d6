"""What every resource type has: two dictionaries and a fix."""

from __future__ import annotations

from typing import Any, Callable, ClassVar, Dict, Iterable, Mapping, Sequence, Type

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.preflight import needs
from provision.wire import server
from provision.wire import spec as contract
from provision.wire.events import Changes as Changes
from provision.wire.events import Options, Work
from provision.wire.finding import Finding
from provision.wire.record import Record
from provision.wire.specs import environment

State = Dict[str, Any]
"""Plain data (JSON types). A key whose value is None is absent."""

SERVICES, CONTENT, DIRECTORIES, USERS, GROUPS, PACKAGES = range(6)
"""The ranks of removal: what comes first is removed first."""


class Resource:
    """One thing on a host that is declared, inspected, and brought to its declared state.

    A type says what is declared (`expected`), what is there (`actual`, which only reads) and how to change it
    (`fix`, which acts only on the keys that differ and leaves either the old or the new state). The runner
    compares the first two, calls `fix`, and compares again: what still differs has failed.
    """

    type: ClassVar[str]
    """The word in a request that names this type."""

    waits: ClassVar[bool] = False
    """To inspect it takes long (a command, much to read): others are inspected at the same time."""

    identity: ClassVar[tuple[str, ...]] = ()
    """The keys of `spec` that `remove` needs. They are kept in the host's ledger, so never a secret."""

    role: ClassVar[str] = ""
    """What it is to its service: `SERVICE` or `PROOF` of `provision.wire.events`, or nothing special."""

    due: ClassVar[Changes] = {}
    """What has to be done after something else has changed: the restart of a service and its proof, or the
    run of a command that follows the change."""

    made_from_spec: ClassVar[bool] = False
    """What runs the service is made from its spec alone, so that a former one can be made again from that."""

    arbitrary: ClassVar[bool] = False
    """Its fix may change anything on the host: nobody can foresee what follows it."""

    inherits_limits: ClassVar[bool] = False
    """It runs a service with the limits of whoever applies: open files, locked memory."""

    port_field: ClassVar[str] = "port"
    """Of its service: the field that says which ports it opens."""

    number_field: ClassVar[str] = ""
    """Of an account: the field of its number, `uid` or `gid`."""

    brings_accounts: ClassVar[bool] = False
    """Its fix may make users and groups, which take the next free numbers."""

    removal: ClassVar[int] = CONTENT
    """When it is removed: before what it needs. One of the ranks above."""

    stays: ClassVar[str | None] = None
    """Why it is not removed although nobody declares it any more."""

    beside: ClassVar[tuple[str, ...]] = ()
    """The keys of its state that may be set although the thing itself is not there."""

    Spec: ClassVar[Type[contract.Spec]]  # noqa: UP006 (`type` is something else in this class)
    """The record of what is declared; a subclass also annotates its `spec` with it."""

    RENAMED: ClassVar[Mapping[str, str]] = {}
    """The fields of `Spec` that versions before 2 of the contract wrote under other names: old -> new."""

    spec: Any

    def __init__(self, id: str, spec: Any) -> None:
        self.id = id
        self.spec = spec
        self.former: Sequence[str] = ()
        """The paths that it had before, as far as something of it may be there still."""
        self.because: list[str] = []
        """What will change, so that a command runs again or a service is restarted."""
        self.remember: Callable[[str], None] = lambda life: None
        """Gets the life of its service that has answered, before a proof notes that it has."""

    def expected(self, machine: Machine) -> State:
        """Return the declared state."""
        raise NotImplementedError

    def actual(self, machine: Machine) -> State:
        """Return the state found, with the keys of `expected`. Only reads; what is absent is no error."""
        raise NotImplementedError

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Bring the keys in `changes` to their expected values, or raise `Failure`."""
        raise NotImplementedError

    def there(self, actual: State) -> bool:
        """Whether the thing itself is there, in whatever state."""
        return any(value for key, value in actual.items() if key not in self.beside)

    def moved(self, machine: Machine) -> dict[str, str]:
        """Return the paths of the request that are others on this host: path -> where it is."""
        return {}

    def taken(self, machine: Machine) -> Record | None:
        """Return what exactly is there, as a lock has it; None where a lock has nothing of it.

        Raises:
            Failure: nothing is there.
        """
        return None

    def as_declared(self, machine: Machine) -> bool:
        """Whether that of it which a lock has is as declared."""
        return self.expected(machine) == self.actual(machine)

    def edition(self, machine: Machine) -> str | None:
        """Return what is there, in a few words, where another may take its place in the same directory."""
        return None

    def as_run(self, machine: Machine) -> State:
        """Return its spec as plain data, from which its service can be run again as it runs now."""
        plain: State = self.spec.plain()
        return plain

    def told(self, machine: Machine, changes: Changes) -> list[str]:
        """Return in words what changes, for the history; never a secret."""
        return []

    def tidy(self, machine: Machine, used: Callable[[str], bool]) -> None:
        """Delete what former declarations have left behind, once all that is declared is there and proven.

        Args:
            machine: where it is.
            used: whether anything on the host still needs a directory.
        """

    def missed(self, machine: Machine, changes: Changes) -> Failure | None:
        """Return why these keys still differ right after `fix`, if more is known than their values."""
        return None

    def new(self, changes: Changes) -> bool:
        """Whether these changes mean that it does not exist yet, rather than that it differs."""
        return all(actual is None for actual, _ in changes.values())

    def reloads(self, because: Iterable[str]) -> bool:
        """Whether its service takes in changes of these resources by a reload, without a restart."""
        return False

    def owing(self, machine: Machine) -> list[str] | None:
        """Return for which changes its service has to be restarted; None when it has not."""
        return None

    def begins(self, machine: Machine) -> None:
        """Note that its service is about to be stopped and started, and that all it will read is there."""

    def up(self, actual: State) -> bool:
        """Whether its service runs, so that it is restarted rather than started."""
        return False

    def running(self, machine: Machine) -> bool:
        """Whether its service runs, as far as this run knows; `identity` is enough to tell."""
        return False

    def end(self, machine: Machine) -> None:
        """Let its service end, and finish its requests; its supervisor then starts it again."""

    def waits_for_others(self) -> bool:
        """Whether its fix mostly waits, for an answer or its turn on a GPU: other work goes on meanwhile."""
        return False

    def nodes(self) -> list[str]:
        """Return the hosts over which its service runs, by rank; empty for one on a single host."""
        return []

    def preflight(self) -> server.Preflight | None:
        """Return how to ask whether its service would start as declared."""
        return None

    def prove(self, machine: Machine, patience: float = 0.0) -> bool:
        """Make each check of the service, and report it; whether all went well.

        Args:
            machine: this one.
            patience: seconds in which a check is repeated while it fails for a reason that may pass.
        """
        return True

    def opens(self, machine: Machine, changes: Changes) -> Sequence[tuple[int, str | None]]:
        """Return the TCP ports that its service opens after `changes`, each with its address (None: all)."""
        return ()

    def owns(self) -> Callable[[int], bool]:
        """Return what tells whether the process of a pid belongs to its service."""
        return lambda pid: False

    def fetches(self, machine: Machine, changes: Changes) -> Sequence[needs.Fetch]:
        """Return what `fix` brings to the disks, as far as that is known."""
        return ()

    def unobtainable(self, machine: Machine, changes: Changes) -> Sequence[Finding]:
        """Return why `fix` will not get what it needs from elsewhere; it may ask there, and wait."""
        return ()

    def demands(self, changes: Changes) -> server.Demands | None:
        """Return what its service wants of the host once it is started by `changes`."""
        return None

    def wheels(self, changes: Changes) -> Sequence[environment.Wheel]:
        """Return what is known of the wheels that `fix` installs."""
        return ()

    def resolve(
        self, machine: Machine, changes: Changes, directory: str, cuda: str | None = None
    ) -> needs.Resolved | None:
        """Return what `fix` would install; None where that cannot be told before.

        Args:
            machine: where it is.
            changes: the keys that differ.
            directory: for what is only needed meanwhile.
            cuda: the newest CUDA that may be in it; what is pinned to a release may be older then.
        """
        return None

    def asks_for(self, package: str) -> str:
        """Return the field of what is declared that asks for a package."""
        return ""

    def interpreter(self, machine: Machine) -> str | None:
        """Return the version of the Python that the wheels are for; None when it is not there yet."""
        return None

    def makes_directory(self) -> str | None:
        """Return the directory that it makes."""
        return None

    def wants_directory(self) -> str | None:
        """Return the directory that must exist before its fix, and that it does not make itself."""
        return None

    def restorable(self) -> str | None:
        """Return the file that it writes, whose former content can be put back."""
        return None

    def disturbs(self, changes: Changes) -> bool:
        """Whether a service that has read this resource must be restarted after these changes."""
        return True

    def restarts(self, changes: Changes) -> bool:
        """Whether that is so also where nothing else of the service changes, such as a path in its script."""
        return self.disturbs(changes)

    def diff(self, machine: Machine, changes: Changes) -> str | None:
        """Return a unified diff for a person to read, or None. Never shows a secret."""
        return None

    def kept(self) -> State:
        """Return what the ledger keeps beside `identity`, for `changed_options`; never a secret."""
        return {}

    def changed_options(self, kept: State, changes: Changes) -> tuple[Options, Options] | None:
        """Return the options of a command before and after `changes`; None where they are not known.

        Args:
            kept: what the ledger has kept, which an older version may not have done.
            changes: the keys that differ.
        """
        return None

    def work(self, machine: Machine, changes: Changes) -> Work | None:
        """Return what `fix` would fetch or do, for the plan."""
        return None

    def notes(self, machine: Machine) -> list[Finding]:
        """Return warnings for the plan, also when nothing differs."""
        return []

    def remove(self, machine: Machine) -> bool:
        """Remove what `fix` made; True when something was there. Only called for what provision made."""
        return False

    def left(self, machine: Machine) -> str | None:
        """Return why something stays after a `remove` that removed nothing; None when nothing does."""
        return None


def differences(expected: State, actual: State) -> Changes:
    """Return the keys of `expected` that have other values in `actual`."""
    return {key: (actual.get(key), value) for key, value in expected.items() if actual.get(key) != value}
