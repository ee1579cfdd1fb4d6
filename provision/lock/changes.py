"""What differs between two locks, for people and programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from provision.lock.lockfile import Entry, EnvironmentEntry, ImageEntry, Lock, LockedPackage, ModelEntry


class Change(NamedTuple):
    """One thing that is locked otherwise than before.

    Args:
        of: the part of the lock, such as `environment tools`.
        name: of the package or file, or what the whole part is.
        before: how it was locked; None: not at all.
        now: how it is; None: it is not locked any more.
    """

    of: str
    name: str
    before: str | None
    now: str | None


class Unhashed(NamedTuple):
    """A package without a hash.

    Args:
        of: the part of the lock, such as `environment tools`.
        name: the package with its version.
        why: the reason.
    """

    of: str
    name: str
    why: str


def changes(old: Lock, new: Lock) -> list[Change]:
    """Return what differs, in the order of the file."""
    before, now = dict(_parts(old)), dict(_parts(new))
    found = []
    for part in [*now, *(part for part in before if part not in now)]:
        was, is_now = before.get(part, {}), now.get(part, {})
        for name in sorted(was.keys() | is_now.keys()):
            if was.get(name) != is_now.get(name):
                found.append(Change(part, name, *_told(was.get(name), is_now.get(name))))
    return found


def _told(before: str | None, now: str | None) -> tuple[str | None, str | None]:
    """Return two texts as short as they can be and still differ."""
    if before is None or now is None:
        return before and _version(before), now and _version(now)
    same = _version(before) == _version(now)
    return (before, now) if same else (_version(before), _version(now))


def _version(text: str) -> str:
    return text.partition(" ")[0]


def counted(lock: Lock) -> dict[str, int]:
    """Return how much is locked of each sort."""
    return {
        "package": sum(len(entry.packages) for entry in lock.packages),
        "Python package": sum(len(each.packages) for each in _all(lock.environments)),
        "model": len(lock.models),
        "image": len(lock.images),
    }


def unhashed(lock: Lock) -> list[Unhashed]:
    """Return the packages of which no hash is known."""
    return [
        Unhashed(_called("environment", name, entry), f"{package} {each.version}", each.unhashed)
        for name, entries in sorted(lock.environments.items())
        for entry in entries
        for package, each in sorted(entry.packages.items())
        if each.unhashed
    ]


def _all(section: Mapping[str, Sequence[EnvironmentEntry]]) -> Iterator[EnvironmentEntry]:
    for entries in section.values():
        yield from entries


def _parts(lock: Lock) -> Iterator[tuple[str, dict[str, str]]]:
    """Give the parts of a lock, each with its things as texts: the version, and what else identifies it."""
    for entry in lock.packages:
        versions = {name: version or "virtual" for name, version in entry.packages.items()}
        yield f"packages ({entry.system}, {entry.machine})", versions
    for name, environments in sorted(lock.environments.items()):
        for each in environments:
            found = {package: _package(locked) for package, locked in each.packages.items()}
            yield _called("environment", name, each), found
    for name, models in sorted(lock.models.items()):
        for model in models:
            files = {path: f"sha256:{sha256[:12]}" for path, sha256 in model.files.items()}
            yield _called("model", name, model), files
    for name, images in sorted(lock.images.items()):
        for image in images:
            yield _called("image of", name, image), {image.image: image.id.removeprefix("sha256:")[:12]}


def _called(kind: str, name: str, entry: Entry) -> str:
    match entry:
        case EnvironmentEntry():
            return f"{kind} {name} (Python {entry.python}, {entry.machine})"
        case ModelEntry():
            return f"{kind} {name} ({entry.snapshot})"
        case ImageEntry():
            return f"{kind} {name} ({entry.machine})"
        case _:
            return f"{kind} {name}"


def _package(package: LockedPackage) -> str:
    files = " ".join(f"sha256:{sha256[:12]}" for sha256 in package.sha256)
    return " ".join(
        filter(None, [package.version, files, package.commit and f"commit {package.commit[:12]}"])
    )
