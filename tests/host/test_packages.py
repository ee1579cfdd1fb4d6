"""The resource type `apt`, with the real apt and dpkg of a booted Debian."""

from __future__ import annotations

from typing import Any

import pytest

from provision.wire.specs.apt import AptSpec, Package
from tests.host.apt_source import Source
from tests.host.conftest import EVENTS, Drive
from tests.lab import LabHost

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def source(host: LabHost) -> Source:
    return Source(host)


def packages(*names: str) -> AptSpec:
    pairs = [name.partition("=") for name in names]
    return AptSpec(packages=[Package(name=name, version=version or None) for name, _, version in pairs])


def lines(result: dict[str, Any]) -> list[str]:
    return [event["line"] for event in result["events"] if event["event"] == "output"]


def test_packages_are_installed_once_with_fresh_lists_only_when_needed(there: Drive, source: Source) -> None:
    source.package("one", fields="Depends: two\n")
    source.package("two")
    source.package("three")
    source.publish()
    first = there(packages("one", "dpkg"))
    assert first["changes"] == {"one": [None, "installed"]}
    assert (first["error"], first["left"]) == (None, {})
    assert any("apt-get update" in line for line in lines(first))
    assert there(packages("one", "dpkg"))["changes"] == {}
    plan = there(packages("three"), verb="inspect", user="ops")
    assert plan["work"]["install"] == ["three 1.0"]
    assert plan["work"]["bytes"] == (source.directory / "three_1.0_all.deb").stat().st_size
    (note,) = plan["notes"]
    assert note["message"] == "only root can install packages"
    assert note["hint"] == "set `become: true` for this host, or connect as root"
    second = there(packages("three"))
    assert second["left"] == {}
    assert not any("apt-get update" in line for line in lines(second))


def test_all_packages_are_one_transaction(there: Drive, host: LabHost, source: Source) -> None:
    names = ["several-a", "several-b", "several-c"]
    for name in names:
        source.package(name)
    source.publish()
    assert there(packages(*names))["left"] == {}
    history = (host.root / "var/log/apt/history.log").read_text(encoding="utf-8").split("\n\n")
    (transaction,) = [entry for entry in history if "several-" in entry and "\nInstall: " in entry]
    assert all(f"{name}:" in transaction for name in names)


def test_an_unprivileged_apply_says_what_it_lacks(there: Drive, source: Source) -> None:
    source.package("privileged")
    source.publish()
    result = there(packages("privileged"), user="ops")
    assert result["error"] == "only root can install packages"
    assert "become" in result["hint"]


def test_a_version_is_pinned_up_and_down(there: Drive, host: LabHost, source: Source) -> None:
    source.package("pinned", "1.0", conffile="shipped 1\n")
    source.package("pinned", "2.0", conffile="shipped 2\n")
    source.publish()
    assert there(packages("pinned=1.0"))["left"] == {}
    (host.root / "etc/pinned.conf").write_text("edited by hand\n", encoding="ascii")
    assert there(packages("pinned"))["changes"] == {}
    up = there(packages("pinned=2.0"))
    assert up["changes"] == {"pinned": ["1.0", "2.0"]}
    assert (up["error"], up["left"]) == (None, {})
    assert (host.root / "etc/pinned.conf").read_text(encoding="ascii") == "edited by hand\n"
    assert there(packages("pinned=1.0"))["left"] == {}


def test_unknown_names_and_versions_are_named(there: Drive, source: Source) -> None:
    source.package("known")
    source.publish()
    plan = there(packages("known", "no-such-a", "no-such-b"), verb="inspect")
    assert "apply fetches newer ones first" in plan["notes"][0]["hint"]
    unknown = there(packages("known", "no-such-a", "no-such-b"))
    assert unknown["error"] == "no package of this name: no-such-a, no-such-b"
    version = there(packages("known=7"))
    assert version["error"] == "Version '7' for 'known' was not found"


def test_a_virtual_package_is_there_when_one_that_provides_it_is(there: Drive, source: Source) -> None:
    source.package("real-a", fields="Provides: virtual, other (= 2)\n")
    source.package("real-b", fields="Provides: virtual\n")
    source.publish()
    choice = there(packages("virtual"))
    assert choice["error"] == "package virtual is provided by several"
    assert "real-a, real-b" in ", ".join(sorted(choice["hint"].removeprefix("declare one of ").split(", ")))
    assert there(packages("real-a"))["left"] == {}
    assert there(packages("virtual", "other"))["changes"] == {}
    assert there(packages("virtual=2"), verb="inspect")["changes"] == {"virtual": [None, "2"]}


def test_lists_that_name_a_file_that_is_gone_are_renewed(there: Drive, source: Source, host: LabHost) -> None:
    old = source.package("moving", "1.0")
    source.publish()
    host.exec(["apt-get", "update", "-q"])
    old.unlink()
    source.package("moving", "1.1")
    source.publish()
    result = there(packages("moving"))
    assert (result["error"], result["left"]) == (None, {})
    assert "the mirror no longer has the packages that the lists name: apt-get update" in lines(result)


@pytest.mark.parametrize("lock", ["/var/lib/dpkg/lock-frontend", "/var/lib/apt/lists/lock"])
def test_a_held_lock_is_awaited_and_its_holder_named(
    there: Drive, host: LabHost, source: Source, lock: str
) -> None:
    name = "locked-" + ("lists" if "lists" in lock else "dpkg")
    source.package(name)
    source.publish()
    told = f"{EVENTS}root"
    host.exec(["rm", "-f", told])
    hold = (
        "import fcntl, os, time\n"
        f"file = open('{lock}', 'w'); fcntl.lockf(file, fcntl.LOCK_EX)\n"
        f"while not os.path.exists('{told}') or '\"waiting\"' not in open('{told}').read(): time.sleep(0.1)"
    )
    host.exec(["systemd-run", "--quiet", "python3", "-c", hold])
    ask = "from provision.host.packages.dpkg import holder; exit(not holder())"
    host.exec(["sh", "-c", f'cd /src; until python3 -c "{ask}"; do sleep 0.1; done'])
    result = there(packages(name))
    assert (result["error"], result["left"]) == (None, {})
    waits = [event for event in result["events"] if event["event"] == "waiting"]
    assert waits
    assert "held by python3 (pid " in waits[0]["reason"]


def test_a_half_configured_package_is_finished(there: Drive, host: LabHost, source: Source) -> None:
    deb = source.package("halfway")
    host.exec(["dpkg", "--unpack", f"/srv/apt/{deb.name}"])
    result = there(packages("halfway"))
    assert result["changes"] == {"halfway": ["unpacked", "installed"]}
    assert (result["error"], result["left"]) == (None, {})


def test_an_installation_that_was_killed_is_finished(there: Drive, host: LabHost, source: Source) -> None:
    source.package("killed", postinst="test -e /killed && exit 0; touch /killed; kill -9 $PPID")
    source.publish()
    there(packages("killed"))
    result = there(packages("killed"))
    assert result["before"] == {"killed": "half-configured"}
    assert (result["error"], result["left"]) == (None, {})


def test_a_broken_package_is_unpacked_again(there: Drive, host: LabHost, source: Source) -> None:
    source.package("torn", conffile="torn\n")
    source.publish()
    assert there(packages("torn"))["left"] == {}
    tear = "/^Package: torn$/,/^$/ s/^Status: .*/Status: install reinstreq half-installed/"
    host.exec(["sed", "-i", tear, "/var/lib/dpkg/status"])
    result = there(packages("torn"))
    assert result["changes"] == {"torn": ["half-installed", "installed"]}
    assert (result["error"], result["left"]) == (None, {})


def test_unmet_dependencies_are_named(there: Drive, source: Source) -> None:
    source.package("needy", fields="Depends: not-to-be-had\n")
    source.publish()
    there(packages("needy", "no-such-package"))  # the latter has the lists renewed
    result = there(packages("needy"))
    assert result["error"].startswith("apt-get: unmet dependencies: needy : Depends: not-to-be-had")


def test_a_failing_package_script_is_quoted(there: Drive, host: LabHost, source: Source) -> None:
    source.package("failing", postinst="echo this cannot work >&2; exit 3")
    source.publish()
    try:
        result = there(packages("failing"))
        assert result["error"].startswith("package failing could not be installed: ")
        assert "this cannot work" in result["log"]
        assert there(packages("failing"), verb="inspect")["before"] == {"failing": "half-configured"}
    finally:
        host.exec(["dpkg", "--remove", "--force-all", "failing"])


def test_nothing_is_removed_for_a_new_package(there: Drive, source: Source) -> None:
    source.package("incumbent")
    source.package("rival", fields="Conflicts: incumbent\n")
    source.publish()
    assert there(packages("incumbent"))["left"] == {}
    there(packages("no-such-package"))  # renews the lists
    plan = there(packages("rival"), verb="inspect")
    assert [note["message"] for note in plan["notes"]] == ["installing rival would remove incumbent"]
    assert there(packages("rival"))["error"] == "installing rival would remove incumbent"
    source.package("newcomer", fields="Conflicts: incumbent\n")
    source.publish()
    newer = there(packages("newcomer"))
    assert any("apt-get update" in line for line in lines(newer))
    assert newer["error"] == "installing newcomer would remove incumbent"
    assert there(packages("incumbent"))["changes"] == {}


def test_a_full_disk_is_called_one(there: Drive, host: LabHost, source: Source) -> None:
    source.package("bulky", size=4 << 20)
    source.publish()
    host.small_disk("/var/cache/apt/archives", "1M")
    try:
        result = there(packages("bulky"))
    finally:
        host.exec(["umount", "/var/cache/apt/archives"])
    assert result["error"].startswith("no space is left to install packages (in /var/cache/apt/archives")


def test_a_dead_mirror_is_the_reason_given(there: Drive, host: LabHost, source: Source) -> None:
    host.exec(["systemctl", "stop", "apt-source"])
    result = there(packages("unheard-of"))
    assert result["error"].startswith("apt-get update: Failed to fetch http://127.0.0.1:8099/")
    assert "network" in result["hint"]
