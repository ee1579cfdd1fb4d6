"""The resources that a play names one by one: packages, groups, users, directories, files, commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from posixpath import normpath
from typing import TYPE_CHECKING

from provision.catalog.builder import Builder
from provision.catalog.sources import content_of
from provision.catalog.text import SecretPart, SecretText, check
from provision.config.problems import did_you_mean
from provision.wire.spec import Spec
from provision.wire.specs.apt import AptSpec, Package
from provision.wire.specs.command import CommandSpec
from provision.wire.specs.directory import DirectorySpec
from provision.wire.specs.file import FileSpec
from provision.wire.specs.group import GroupSpec
from provision.wire.specs.sysctl import SysctlSpec
from provision.wire.specs.user import UserSpec

if TYPE_CHECKING:
    from provision.config.playbook import Play
    from provision.config.problems import Position

UNITS = (
    "/etc/systemd/system/",
    "/usr/local/lib/systemd/system/",
    "/usr/lib/systemd/system/",
    "/lib/systemd/system/",
    "/run/systemd/system/",
)
"""Where systemd reads its units."""

SYSCTLS = ("/etc/sysctl.d/", "/etc/sysctl.conf", "/etc/modules-load.d/")
"""Files that set kernel parameters: a parameter is compared with them as they will be."""

APT_SOURCES = ("/etc/apt/",)
"""What is below it tells where packages come from, so it comes before the packages; all else comes after."""

Declared = tuple[tuple[str | int, ...], str, Spec, str, list[str]]
"""A resource as a play declares it: its place in the play, id, record, label, and what it needs."""


def add(builder: Builder, play: Play) -> list[str]:
    """Add the resources that the play names one by one; returns the ids, which its services come after."""
    ids: list[str] = []
    for section in (_packages, _groups, _users, _sysctls, _directories, _files):
        for where, id, spec, label, needs in section(builder, play):
            ids.append(builder.add(play, where, id, spec, label, needs=needs).id)
    for key in ("directories", "files"):
        if "/" in getattr(play.fields, key):
            builder.problem("wrong-path", play, (key, "/"), "the root directory cannot be declared")
    if not builder.host.privileged:
        _require_root(builder, play)
    return ids + _reload(builder, play)


def _groups(builder: Builder, play: Play) -> Iterator[Declared]:
    for name, group in play.fields.groups.items():
        spec = GroupSpec(name=name, gid=group.gid, system=group.system)
        yield ("groups", name), f"group:{name}", spec, f"group {name}", []


def _users(builder: Builder, play: Play) -> Iterator[Declared]:
    for name, user in play.fields.users.items():
        spec = UserSpec(
            name=name,
            uid=user.uid,
            group=user.group,
            groups=sorted(user.groups),
            home=user.home,
            shell=user.shell,
            system=user.system,
        )
        # A group may come from a package (docker), and a shell does.
        needs = builder.packages(play) if user.groups or user.group or user.shell else []
        yield ("users", name), f"user:{name}", spec, f"user {name}", needs


def _sysctls(builder: Builder, play: Play) -> Iterator[Declared]:
    needs = _below(SYSCTLS, "file", play.fields.files)
    for name, value in play.fields.sysctls.items():
        yield ("sysctls", name), f"sysctl:{name}", SysctlSpec(name=name, value=value), f"sysctl {name}", needs


def _below(folders: tuple[str, ...], type: str, paths: Iterable[str]) -> list[str]:
    """Return the ids of those files or directories that are in one of these folders."""
    return [f"{type}:{path}" for path in paths if path.startswith(folders)]


def _reload(builder: Builder, play: Play) -> list[str]:
    """Make systemd read its units again when one that the play declares has changed, before they are used."""
    files = [id for id in _below(UNITS, "file", play.fields.files) if id in builder.resources]
    if not files:
        return []
    id = "command:systemctl daemon-reload"
    spec = CommandSpec(
        name="systemctl daemon-reload",
        argv=["/bin/sh", "-c", "[ ! -d /run/systemd/system ] || systemctl daemon-reload"],
        when_changed=True,
        timeout=60.0,
    )
    builder.add(play, ("files",), id, spec, "systemctl daemon-reload", needs=files)
    for file in files:
        builder.resources[file].followers[id] = []
    return [id]


def commands(builder: Builder, play: Play, after: list[str]) -> list[str]:
    """Add the play's commands, in order and after the resources `after`; returns their ids."""
    needs = after
    for name, command in play.fields.commands.items():
        where = ("commands", name)
        with builder.blame(play, *where):
            spec = CommandSpec(
                name=name,
                argv=_argv(command.run),
                creates=command.creates,
                unless=None if command.unless is None else _argv(command.unless),
                when_changed=bool(command.when_changed),
                timeout=command.timeout,
                directory=command.directory,
                user=command.user,
                env={
                    key: check(value) if isinstance(value, str) else SecretText((SecretPart(value),))
                    for key, value in command.env.items()
                },
                secrets=sorted(key for key, value in command.env.items() if not isinstance(value, str)),
            )
            id = f"command:{name}"
            followed = _followed(builder, play, name)
            builder.add(play, where, id, spec, f"command {name}", needs=[*needs, *followed])
            for resource, packages in followed.items():
                builder.resources[resource].followers[id] = packages
            needs = [*after, id]
    return [f"command:{name}" for name in play.fields.commands]


def _followed(builder: Builder, play: Play, name: str) -> dict[str, list[str]]:
    """Return the ids of the resources that a command follows; for `apt`, with the packages that count."""
    found: dict[str, list[str]] = {}
    declared: Sequence[str]
    for index, changed in enumerate(play.fields.commands[name].when_changed):
        where = ("commands", name, "when_changed", index)
        if changed.kind == "path":
            ids = [f"{kind}:{normpath(changed.name)}" for kind in ("file", "directory")]
            declared = [*play.fields.files, *play.fields.directories]
        elif changed.kind == "package":
            apt = builder.spec("apt", AptSpec)
            declared = [each.name for each in apt.packages] if apt else []
            ids = ["apt"] if changed.name in declared else []
        else:
            ids = [f"{changed.kind}:{changed.name}"]
            declared = [*(play.fields.environments if changed.kind == "environment" else play.fields.models)]
        there = [id for id in ids if id in builder.resources]
        if not there:
            what = "file or directory" if changed.kind == "path" else changed.kind
            hint = did_you_mean(changed.name, declared) or f"declare the {what}, or leave it out here"
            builder.problem(
                "unknown-resource", play, where, f"no {what} {changed.name} is declared for this host", hint
            )
        for id in there:
            found.setdefault(id, []).extend([changed.name] if changed.kind == "package" else [])
    return found


def _argv(run: str | list[str]) -> list[str]:
    """Return the argument vector of a command: a string is run by the shell, a list is run as it is."""
    if isinstance(run, str):
        if "\0" in run:
            check(run)
        return ["/bin/sh", "-e", "-c", run]
    return [check(word) for word in run]


def _packages(builder: Builder, play: Play) -> Iterator[Declared]:
    """Declare the packages of the play together with those of earlier plays: a host has one list of them."""
    if not play.fields.packages:
        return
    there = builder.resources.get("apt")
    found: dict[str, tuple[str | None, Position | None]] = {}
    if there is not None and isinstance(there.spec, AptSpec):
        found = {package.name: (package.version, there.position) for package in there.spec.packages}
    for index, text in enumerate(play.fields.packages):
        name, _, version = text.partition("=")
        other, position = found.get(name, (None, None))
        if version and other and version != other:
            message = f"package {name} is asked for as {version} here and as {other} at {position}"
            where = ("packages", index)
            builder.problem("conflicting-requirements", play, where, message, "ask for one version")
        if version or other is None:
            found[name] = version or None, play.where("packages", index)
    spec = AptSpec(packages=[Package(name=name, version=found[name][0]) for name in sorted(found)])
    if there is not None:
        there.spec = spec
    needs = _below(APT_SOURCES, "directory", play.fields.directories)
    needs += _below(APT_SOURCES, "file", play.fields.files)
    yield ("packages",), "apt", spec, "packages", needs


def _after_packages(builder: Builder, play: Play, path: str) -> list[str]:
    return [] if path.startswith(APT_SOURCES) else builder.packages(play)


def _directories(builder: Builder, play: Play) -> Iterator[Declared]:
    for path, directory in play.fields.directories.items():
        spec = DirectorySpec(path=path, owner=directory.owner, group=directory.group, mode=directory.mode)
        needs = _after_packages(builder, play, path)
        yield ("directories", path), f"directory:{path}", spec, path, needs


def _files(builder: Builder, play: Play) -> Iterator[Declared]:
    for path, file in play.fields.files.items():
        where = ("files", path)
        with builder.blame(play, *where):
            spec = FileSpec(
                path=path,
                content=content_of(play, path),
                owner=file.owner,
                group=file.group,
                mode=file.mode or ("0600" if file.secret else "0644"),
                secret=file.secret,
                validate=file.validator,
                absent=file.absent,
            )
            yield where, f"file:{path}", spec, path, _after_packages(builder, play, path)


def _require_root(builder: Builder, play: Play) -> None:
    for section in ("packages", "groups", "users", "sysctls"):
        if getattr(play.fields, section):
            builder.problem(
                "needs-root",
                play,
                (section,),
                f"{section} need root, and host {builder.host.name} is used without",
                "set become: true on the host, or set them up by hand and take them out of the play",
            )
