"""The resources that a play names one by one: packages, groups, users, directories, files, commands."""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import isabs, normpath
from typing import TYPE_CHECKING

from provision.catalog.builder import Builder
from provision.catalog.sources import content_of
from provision.catalog.text import SecretPart, SecretText, check
from provision.config.problems import did_you_mean
from provision.wire.specs.apt import AptSpec, Package
from provision.wire.specs.command import CommandSpec
from provision.wire.specs.directory import DirectorySpec
from provision.wire.specs.file import FileSpec
from provision.wire.specs.group import GroupSpec
from provision.wire.specs.sysctl import SysctlSpec
from provision.wire.specs.user import UserSpec

if TYPE_CHECKING:
    from provision.config.playbook import Play

UNITS = (
    "/etc/systemd/system/",
    "/usr/local/lib/systemd/system/",
    "/usr/lib/systemd/system/",
    "/lib/systemd/system/",
    "/run/systemd/system/",
)
"""Where systemd reads its units."""

SYSCTLS = ("/etc/sysctl.d/", "/etc/sysctl.conf", "/etc/modules-load.d/")
"""Files that parameters of the kernel come from: a parameter is compared with them as they will be."""

APT_SOURCES = "/etc/apt/"
"""Files below it say where packages come from, so they come before the packages; all others come after."""


def add(builder: Builder, play: Play) -> list[str]:
    """Add what the play names one by one; returns the ids, which its services come after."""
    ids: list[str] = []
    before = [f"{kind}:{path}" for kind, path in _apt_sources(play)]
    if play.packages:
        ids.append(_packages(builder, play, before))
    for name, group in play.groups.items():
        made = GroupSpec(name=name, gid=group.gid, system=group.system)
        ids.append(builder.add(play, ("groups", name), f"group:{name}", made, f"group {name}").id)
    for name, user in play.users.items():
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
        ids.append(builder.add(play, ("users", name), f"user:{name}", spec, f"user {name}", needs=needs).id)
    for name, value in play.sysctls.items():
        needs = [f"file:{normpath(path)}" for path in play.files if normpath(path).startswith(SYSCTLS)]
        parameter = SysctlSpec(name=name, value=value)
        id = f"sysctl:{name}"
        ids.append(builder.add(play, ("sysctls", name), id, parameter, f"sysctl {name}", needs=needs).id)
    ids += _directories(builder, play)
    ids += _files(builder, play)
    if not builder.host.privileged:
        _require_root(builder, play)
    return ids


def reload(builder: Builder, play: Play) -> list[str]:
    """Have systemd read its files again when the play declares some: before whatever uses them."""
    files = [f"file:{normpath(path)}" for path in play.files if normpath(path).startswith(UNITS)]
    files = [id for id in files if id in builder.resources]
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
    """Add the play's commands: in order, after `after`; returns their ids."""
    needs = after
    for name, command in play.commands.items():
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
    return [f"command:{name}" for name in play.commands]


def _followed(builder: Builder, play: Play, name: str) -> dict[str, list[str]]:
    """Return the resources that a command follows, by id; of the packages, which."""
    found: dict[str, list[str]] = {}
    declared: Sequence[str]
    for index, changed in enumerate(play.commands[name].when_changed):
        where = ("commands", name, "when_changed", index)
        if changed.kind == "path":
            ids = [f"{kind}:{normpath(changed.name)}" for kind in ("file", "directory")]
            declared = [*play.files, *play.directories]
        elif changed.kind == "package":
            apt = builder.spec("apt", AptSpec)
            declared = [each.name for each in apt.packages] if apt else []
            ids = ["apt"] if changed.name in declared else []
        else:
            ids = [f"{changed.kind}:{changed.name}"]
            declared = [*(play.environments if changed.kind == "environment" else play.models)]
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
    """Return the argument vector of a command: a string is the shell's, a list is run as it is."""
    if isinstance(run, str):
        if "\0" in run:
            check(run)
        return ["/bin/sh", "-e", "-c", run]
    return [check(word) for word in run]


def _packages(builder: Builder, play: Play, before: list[str]) -> str:
    where = ("packages",)
    found: dict[str, str | None] = {}
    for index, text in enumerate(play.packages):
        name, equals, version = text.partition("=")
        if found.get(name, version or None) not in (None, version or None) and version:
            builder.problem(
                "conflicting-requirements",
                play,
                ("packages", index),
                f"package {name} is asked for in two versions",
            )
        found[name] = version if equals else found.get(name)
    there = builder.resources.get("apt")
    if there is not None and isinstance(there.spec, AptSpec):
        for package in there.spec.packages:
            name, wanted = package.name, package.version
            mine = found.get(name)
            if wanted and mine and wanted != mine:
                builder.problem(
                    "conflicting-requirements",
                    play,
                    where,
                    f"package {name} is asked for as {mine} here and as {wanted} at {there.position}",
                    "ask for one version",
                )
            found[name] = wanted or mine
    merged = AptSpec(packages=[Package(name=name, version=found[name]) for name in sorted(found)])
    if there is not None:
        there.spec = merged
    return builder.add(play, where, "apt", merged, "packages", needs=before).id


def _apt_sources(play: Play) -> list[tuple[str, str]]:
    directories = [("directory", path) for path in play.directories if path.startswith(APT_SOURCES)]
    return directories + [("file", path) for path in play.files if path.startswith(APT_SOURCES)]


def _after_packages(builder: Builder, play: Play, path: str) -> list[str]:
    return [] if path.startswith(APT_SOURCES) else builder.packages(play)


def _directories(builder: Builder, play: Play) -> list[str]:
    ids = []
    for path, directory in play.directories.items():
        where = ("directories", path)
        if not _absolute(builder, play, where, path):
            continue
        spec = DirectorySpec(
            path=normpath(path), owner=directory.owner, group=directory.group, mode=directory.mode
        )
        id = f"directory:{normpath(path)}"
        builder.add(play, where, id, spec, normpath(path), needs=_after_packages(builder, play, path))
        ids.append(id)
    return ids


def _files(builder: Builder, play: Play) -> list[str]:
    ids = []
    for path, file in play.files.items():
        where = ("files", path)
        if not _absolute(builder, play, where, path):
            continue
        with builder.blame(play, *where):
            spec = FileSpec(
                path=normpath(path),
                content=content_of(play, path),
                owner=file.owner,
                group=file.group,
                mode=file.mode or ("0600" if file.secret else "0644"),
                secret=file.secret,
                validate=file.validator,
                absent=file.absent,
            )
            id = f"file:{normpath(path)}"
            builder.add(play, where, id, spec, normpath(path), needs=_after_packages(builder, play, path))
            ids.append(id)
    return ids


def _absolute(builder: Builder, play: Play, where: tuple[str, str], path: str) -> bool:
    with builder.blame(play, *where):
        check(path)
        if isabs(path) and normpath(path) != "/":
            return True
        builder.problem("wrong-path", play, where, f"{path!r} is no absolute path", "begin it with /")
    return False


def _require_root(builder: Builder, play: Play) -> None:
    for section in ("packages", "groups", "users", "sysctls"):
        if getattr(play, section):
            builder.problem(
                "needs-root",
                play,
                (section,),
                f"{section} need root, and host {builder.host.name} is used without",
                "set become: true on the host, or set them up by hand and take them out of the play",
            )
