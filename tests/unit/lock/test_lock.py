"""Locks: their file, what they are made from, and whether a playbook fits one."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from provision.catalog.environments import digest
from provision.config.problems import ConfigError
from provision.lock.changes import changes, unhashed
from provision.lock.gathered import Gathered, updated
from provision.lock.lockfile import Lock, load, save, text
from provision.project import load as loading
from provision.project.project import Project, Selection
from provision.wire.specs.apt import LockedPackages
from provision.wire.specs.container import LockedImage
from provision.wire.specs.environment import EnvironmentSpec, LockedEnvironment, Pin
from provision.wire.specs.model import LockedModel
from provision.wire.taken import Taken

HOSTS = "hosts: {h1: {address: 192.0.2.1, user: root}, h2: {address: 192.0.2.2, user: root}}\n"

PLAYBOOK = """\
- hosts: all
  packages: [git, python3-venv]
  environments:
    app: {packages: ["demo>=1", huggingface-hub, "own @ https://mirror.corp.example/own-1.0-py3-none-any.whl"]}
  models:
    m: {huggingface: tiny/chat, revision: v1.0, endpoint: "https://hub.corp.example"}
  services:
    box: {kind: container, image: "registry.corp.example:5000/team/box:1", ports: ["80:80"]}
"""

HASH = "1e5" + "0" * 61
"""Which YAML would take for a number, were it not quoted."""

PACKAGES = [
    Pin(name="demo", version="1.0", sha256=[HASH]),
    Pin(name="huggingface-hub", version="1e5", unhashed="its index names no sha256"),
    Pin(name="own", version="1.0", direct=True, sha256=["a" * 64]),
]


def environment(*packages: Pin, python: str = "3.11") -> LockedEnvironment:
    return LockedEnvironment(python=python, machine="x86_64", packages=list(packages or PACKAGES))


class Site:
    """A project in a folder, and what its hosts tell."""

    def __init__(self, folder: Path) -> None:
        (folder / "inventories").mkdir()
        (folder / "playbooks").mkdir()
        (folder / "inventories/hosts.yml").write_text(HOSTS)
        self.playbook = folder / "playbooks/site.yml"
        self.file = folder / "playbooks/site.lock"
        self.write(PLAYBOOK)

    def write(self, text: str) -> None:
        self.playbook.write_text(dedent(text))

    def project(self, locked: bool = False) -> Project:
        return loading.load(Selection((self.playbook,), locked=locked))

    def gathered(self, **h2: object) -> Lock:
        """What both hosts have; the second one has something else where that is given."""
        gathered = Gathered(self.project().fleet)
        for host in ("h1", "h2"):
            for taken in all_of(host, **(h2 if host == "h2" else {})):
                gathered.take(taken)
        return gathered.locks(["site"])["site"]

    def lock(self) -> Lock:
        made = self.gathered()
        save(self.file, made)
        return made

    def problems(self, text: str) -> list[str]:
        self.write(text)
        with pytest.raises(ConfigError) as caught:
            self.project(locked=True)
        return [str(problem).replace(f"{self.playbook.parent}/", "") for problem in caught.value.problems]


def all_of(host: str, **other: object) -> list[Taken]:
    told = {
        "apt": {"packages": LockedPackages(system="debian 12", machine="x86_64", versions=VERSIONS)},
        "environment:app": {"environment": environment()},
        "model:m": {"model": LockedModel(commit="c" * 40, files={"config.json": HASH, "0x1": "b" * 64})},
        "container:box": {"image": LockedImage(machine="x86_64", id="sha256:" + "d" * 64, digests=[])},
    }
    for id, found in told.items():
        told[id] = {key: other.get(key, value) for key, value in found.items()}
    return [Taken(host=host, id=id, label=id.replace(":", " "), **found) for id, found in told.items()]


VERSIONS: dict[str, str | None] = {"git": "1:2.39.5-0+deb12u2", "python3-venv": "3.11.2-1+b1"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_file_is_read_as_it_was_written_and_always_the_same(site: Site) -> None:
    lock = site.lock()
    assert load(site.file) == lock
    assert text(load(site.file) or Lock()) == site.file.read_text()
    lines = site.file.read_text().splitlines()
    assert f'      demo: {{version: "1.0", sha256: ["{HASH}"]}}' in lines
    assert '    git: "1:2.39.5-0+deb12u2"' in lines


def test_no_name_of_a_server_is_in_it(site: Site) -> None:
    site.lock()
    assert "corp" not in site.file.read_text()
    assert "192.0.2" not in site.file.read_text()


def test_hosts_get_what_is_locked(site: Site) -> None:
    site.lock()
    for catalog in site.project(locked=True).fleet.catalogs.values():
        specs = {each.id: each.spec.plain() for each in catalog.resources}
        assert specs["environment:app"]["locked"] == [environment().replace(lock="site.lock").plain()]
        assert specs["apt"]["locked"][0]["versions"] == VERSIONS
        assert specs["model:m"]["locked"]["files"] == {"config.json": HASH, "0x1": "b" * 64}
        assert specs["container:box"]["locked"][0]["id"] == "sha256:" + "d" * 64
    free = site.project().fleet.catalogs["h1"]
    assert not any(each.spec.plain().get("locked") for each in free.resources)


def test_it_moves_no_directory(site: Site) -> None:
    """What is there stays where it is when it is locked."""
    before = {each.id: each.spec.plain() for each in site.project().fleet.catalogs["h1"].resources}
    site.lock()
    for each in site.project(locked=True).fleet.catalogs["h1"].resources:
        assert {**each.spec.plain(), "locked": None} == {**before[each.id], "locked": None}, each.id


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"demo>=1"', '"demo>=2"', "environment app: demo>=2 is asked for, and 1.0 is locked"),
        ('"demo>=1"', '"demo[more]>=1"', "environment app: demo[more]>=1 is not locked"),
        ('"demo>=1"', '"demo>=1", more', "environment app: more is not locked"),
        ('"demo>=1", ', "", "environment app: demo>=1 is not asked for any more"),
        ("    app: {", "    app: {constraints: [demo>1], ",
         "environment app: it is constrained to demo>1, and 1.0 is locked"),
        ("    app: {", "    app: {exclude: [own2, demo2], python: python3.12, ", None),
        ("/own-1.0-", "/own-1.1-",
         "environment app: own @ https://mirror.corp.example/own-1.1-py3-none-any.whl is not"),
        ('"demo>=1"', '"demo>=1.0"', None),
        ("[git, ", "[git, vim, ", "packages: vim is not locked"),
        ("[git, ", '["git=2", ',
         "packages: git=2 is asked for, and 1:2.39.5-0+deb12u2 is locked"),
        ("[git, ", "[", None),
        ("revision: v1.0", "revision: v2.0",
         "model m: huggingface tiny/chat@v2.0 is asked for, and huggingface tiny/chat@v1.0"),
        ("box:1", "box:2",
         "container box: registry.corp.example:5000/team/box:2 is asked for, and team/box:1 is locked"),
        ("registry.corp.example:5000/", "other.example/", None),
    ],
)  # fmt: skip
def test_a_playbook_that_asks_for_other_things(site: Site, old: str, new: str, said: str | None) -> None:
    site.lock()
    assert old in PLAYBOOK
    changed = PLAYBOOK.replace(old, new, 1)
    if said is None:
        site.write(changed)
        site.project(locked=True)
        return
    (problem,) = site.problems(changed)
    assert problem.startswith("site.yml:")
    assert f"site.lock does not fit {said}" in problem
    assert problem.endswith("apply it with --no-lock, then run `provision lock`")
    site.project(locked=False)


def test_a_new_environment_is_not_locked(site: Site) -> None:
    site.lock()
    (problem,) = site.problems(PLAYBOOK.replace("    app:", "    new: {packages: [x]}\n    app:"))
    assert "site.lock does not fit environment new: it is not locked" in problem


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version: 1\n", "version: 2\n", "site.lock:2:10: this lock file is damaged: it is of version 2"),
        ("version: 1\n", "<<<<<<< HEAD\nversion: 1\n", "site.lock:"),
        ("    machine:", "    mashine:", "this lock file is damaged"),
    ],
)
def test_a_damaged_file(site: Site, old: str, new: str, said: str) -> None:
    site.lock()
    site.file.write_text(site.file.read_text().replace(old, new, 1))
    problems = site.problems(PLAYBOOK)
    assert any(said in problem for problem in problems)
    assert all("this lock file is damaged" in problem for problem in problems)


def test_hosts_of_one_kind_that_differ_cannot_be_locked(site: Site) -> None:
    other = environment(PACKAGES[0].replace(version="1.1"), *PACKAGES[1:])
    with pytest.raises(ConfigError) as caught:
        site.gathered(environment=other)
    (problem,) = caught.value.problems
    assert problem.code == "hosts-differ"
    assert problem.message == "environment app: demo is 1.0 and 1.1 on h1 and h2, which are of one kind"
    with pytest.raises(ConfigError, match=r"config\.json is 1e5000000000 and ffffffffffff"):
        site.gathered(model=LockedModel(commit=None, files={"config.json": "f" * 64, "0x1": "b" * 64}))
    with pytest.raises(ConfigError, match=r"git is 1:2.39.5-0.deb12u2 and 2"):
        site.gathered(
            packages=LockedPackages(system="debian 12", machine="x86_64", versions={**VERSIONS, "git": "2"})
        )


def test_hosts_of_other_kinds_have_entries_of_their_own(site: Site) -> None:
    lock = site.gathered(environment=environment(PACKAGES[0].replace(version="1.1"), python="3.13"))
    assert [(each.python, each.packages["demo"].version) for each in lock.environments["app"]] == [
        ("3.11", "1.0"),
        ("3.13", "1.1"),
    ]


def test_two_mirrors_may_have_different_files_of_one_version(site: Site) -> None:
    other = environment(PACKAGES[0].replace(sha256=["2" * 64]), *PACKAGES[1:])
    assert site.gathered(environment=other).environments["app"][0].packages["demo"].sha256 == [HASH, "2" * 64]


def test_only_what_is_named_or_asked_is_updated(site: Site) -> None:
    old = site.gathered()
    newer = environment(PACKAGES[0].replace(version="1.1"), python="3.13")
    new = site.gathered(environment=newer).model_copy(update={"models": {}})
    only = updated(old, new, ["app"], partial=False)
    assert only.models == old.models
    assert len(only.environments["app"]) == 2
    assert updated(old, new, ["m"], partial=False).environments == old.environments
    assert updated(old, new, [], partial=False).models == {}
    # A host that is left out keeps what it has.
    apart = new.model_copy(update={"environments": {"app": new.environments["app"][1:]}})
    kept = updated(old, apart, [], partial=True)
    assert [each.python for each in kept.environments["app"]] == ["3.11", "3.13"]
    assert kept.models == old.models


def test_what_differs_in_words(site: Site) -> None:
    old = site.gathered()
    found = old.environments["app"][0]
    packages = {**found.packages, "demo": found.packages["demo"].model_copy(update={"version": "1.1"})}
    del packages["own"]
    new = old.model_copy(update={"environments": {"app": [found.model_copy(update={"packages": packages})]}})
    assert [tuple(each[1:]) for each in changes(old, new)] == [("demo", "1.0", "1.1"), ("own", "1.0", None)]
    replaced = {**found.packages, "demo": found.packages["demo"].model_copy(update={"sha256": ["2" * 64]})}
    other = old.model_copy(
        update={"environments": {"app": [found.model_copy(update={"packages": replaced})]}}
    )
    assert [tuple(each[1:]) for each in changes(old, other)] == [
        ("demo", "1.0 sha256:1e5000000000", "1.0 sha256:222222222222")
    ]
    assert [each.name for each in unhashed(old)] == ["huggingface-hub 1e5"]


def test_the_digest_of_an_environment_does_not_know_of_locks(site: Site) -> None:
    site.lock()
    (spec,) = (
        each.spec
        for each in site.project(locked=True).fleet.catalogs["h1"].resources
        if isinstance(each.spec, EnvironmentSpec)
    )
    assert spec.path.endswith(digest(spec))
