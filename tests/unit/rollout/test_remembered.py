"""A remembered project is the one that would be compiled, or it is not used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.config import inputs
from provision.config.problems import ConfigError
from provision.project import load as loading
from provision.project import remembered
from provision.project.project import Project, Selection

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = """
- hosts: all
  environments: {e: {packages: ["vllm==0.32.0", modelscope]}}
  models: {m: {modelscope: a/b}}
  files:
    /etc/copied: {source: copied.txt}
    /etc/rendered: {template: rendered.j2}
    /etc/secret: {content: {env: THE_SECRET}, mode: "0600"}
  services:
    s: {kind: vllm, environment: e, model: m, port: 8002, checks: [{http: /health}]}
"""
INVENTORY = "hosts: {h1: {address: 192.0.2.1, user: root}}\nvars: {word: one}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project that is the current directory."""
    root = tmp_path / "project"
    for name, content in {
        "playbooks/p.yml": PLAYBOOK,
        "playbooks/copied.txt": "one",
        "playbooks/rendered.j2": "{% include 'part.j2' %} {{ word }}",
        "playbooks/part.j2": "part",
        "inventories/hosts.yml": INVENTORY,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Project]:
    """Return a list that grows when something is compiled."""
    projects: list[Project] = []
    load = loading.load

    def counted(selection: Selection) -> Project:
        projects.append(load(selection))
        return projects[-1]

    monkeypatch.setattr(loading, "load", counted)
    return projects


ONE = Selection((Path("playbooks/p.yml"),))


def test_what_has_not_changed_is_not_compiled_again(project: Path, compiled: list[Project]) -> None:
    first = remembered.load(ONE)
    assert remembered.load(ONE) == first == loading.load(ONE)
    assert len(compiled) == 2


@pytest.mark.parametrize("page", sorted((ROOT / "playbooks").glob("*.yml")), ids=lambda path: path.stem)
def test_every_shipped_playbook_is_remembered_whole(
    page: Path, compiled: list[Project], tmp_path: Path
) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        "hosts: {h1: {address: 192.0.2.1, user: root}, localhost: {}}\n"
        "groups: {gpu: {hosts: [h1]}, asr: {hosts: [h1]}}\n"
    )
    chosen = Selection((page,), (ROOT / "inventories", inventory))
    try:
        first = remembered.load(chosen)
    except ConfigError:
        chosen = Selection((page,), (ROOT / "inventories",))
        first = remembered.load(chosen)
    count = len(compiled)
    assert remembered.load(chosen) == first
    assert len(compiled) == count


def _write(name: str, content: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)

    return change


def _same_size_and_time(root: Path) -> None:
    path = root / "playbooks/copied.txt"
    before = path.stat()
    path.write_text("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    "the playbook": _write("playbooks/p.yml", PLAYBOOK.replace("8002", "8003")),
    "a comment": _write("playbooks/p.yml", PLAYBOOK + "# more"),
    "a variable": _write("inventories/hosts.yml", INVENTORY.replace("one", "two")),
    "another inventory": _write("inventories/more.yml", "hosts: {h2: {address: 192.0.2.2, user: root}}\n"),
    "a copied file": _write("playbooks/copied.txt", "another"),
    "a copied file of the same size and time": _same_size_and_time,
    "a template": _write("playbooks/rendered.j2", "{{ word }}"),
    "an included template": _write("playbooks/part.j2", "another part"),
    "a template that now wins": _write("templates/vllm/start.sh.j2", "#!/bin/sh\nexec sleep 1\n"),
    "a nearer template that now wins": _write("playbooks/templates/service.env.j2", "# nearer\n"),
    "a mode": lambda root: (root / "playbooks/copied.txt").chmod(0o755),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_has_changed_is_compiled_again(
    change: Callable[[Path], None], project: Path, compiled: list[Project]
) -> None:
    remembered.load(ONE)
    change(project)
    found = remembered.load(ONE)
    assert len(compiled) == 2
    assert remembered.load(ONE) == found
    assert len(compiled) == 2


def test_a_playbook_that_is_new_in_the_project_is_seen(project: Path, compiled: list[Project]) -> None:
    remembered.load(Selection())
    (project / "playbooks/q.yml").write_text("- hosts: all\n  packages: [git]\n")
    assert remembered.load(Selection()).playbook_names == ["p", "q"]


def test_a_file_that_is_gone_is_missed(project: Path) -> None:
    remembered.load(ONE)
    (project / "playbooks/copied.txt").unlink()
    with pytest.raises(ConfigError, match=r"copied\.txt cannot be read"):
        remembered.load(ONE)


def test_what_is_wrong_is_said_every_time(project: Path) -> None:
    _write("playbooks/p.yml", PLAYBOOK.replace("port: 8002", "prot: 8002"))(project)
    for _ in range(2):
        with pytest.raises(ConfigError, match="prot"):
            remembered.load(ONE)


def test_other_choices_have_a_memory_of_their_own(project: Path, compiled: list[Project]) -> None:
    _write("inventories/more.yml", "hosts: {h2: {address: 192.0.2.2, user: root}}\n")(project)
    assert remembered.load(ONE).host_names == ["h1", "h2"]
    assert remembered.load(Selection(ONE.playbooks, limit="h2")).host_names == ["h2"]
    assert remembered.load(Selection(ONE.playbooks, (Path("inventories/hosts.yml"),))).host_names == ["h1"]
    assert len(compiled) == 3


def test_the_same_words_in_another_directory_are_another_choice(
    project: Path, compiled: list[Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered.load(ONE)
    shutil.copytree(project, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    remembered.load(ONE)
    assert len(compiled) == 2


def test_an_inventory_that_is_a_program_runs_every_time(project: Path, compiled: list[Project]) -> None:
    program = project / "inventories/list"
    program.write_text(
        '#!/bin/sh\necho called >> "$0.log"\necho \'{"g": {"hosts": ["h9"]}, "_meta": {"hostvars": {}}}\'\n'
    )
    program.chmod(0o755)
    chosen = Selection(ONE.playbooks, (program, Path("inventories/hosts.yml")), limit="h1")
    remembered.load(chosen)
    remembered.load(chosen)
    assert len(compiled) == 2
    assert (project / "inventories/list.log").read_text() == "called\ncalled\n"


def test_what_comes_by_the_command_line_is_not_kept(
    project: Path, compiled: list[Project], caches: Path
) -> None:
    for word in ("one", "two"):
        remembered.load(Selection(ONE.playbooks, extra={"word": word}))
    assert len(compiled) == 2
    assert not list(caches.rglob("compiled/*"))


def test_a_secret_is_kept_as_a_reference_only(
    project: Path, caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_SECRET", "sesame")
    remembered.load(ONE)
    (kept,) = caches.rglob("compiled/*")
    assert b"THE_SECRET" in kept.read_bytes()
    assert b"sesame" not in kept.read_bytes()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700


SECRET_FILES = {
    "content": "{content: sesame-1, secret: true}",
    "source": "{source: secret.txt, secret: true}",
    "template": "{template: secret.j2, secret: true}",
    "a variable in a template": "{template: variable.j2, secret: true}",
}


@pytest.mark.parametrize("declared", SECRET_FILES.values(), ids=SECRET_FILES)
def test_a_text_that_is_declared_secret_is_not_kept(
    declared: str, project: Path, compiled: list[Project], caches: Path
) -> None:
    _write("playbooks/secret.txt", "sesame-2")(project)
    _write("playbooks/secret.j2", "sesame-3")(project)
    _write("playbooks/variable.j2", "{{ open }}")(project)
    plain = f"{PLAYBOOK}  vars: {{open: sesame-4}}\n"
    _write("playbooks/p.yml", plain.replace("files:\n", f"files:\n    /etc/hidden: {declared}\n"))(project)
    assert remembered.load(ONE) == remembered.load(ONE)
    assert len(compiled) == 2
    assert not [path for path in caches.rglob("*") if path.is_file() and b"sesame" in path.read_bytes()]
    # The same text in a file that is no secret is kept, so it would have been found.
    _write(
        "playbooks/p.yml",
        plain.replace("files:\n", f"files:\n    /etc/shown: {declared}\n".replace("true", "false")),
    )(project)
    remembered.load(ONE)
    assert [path for path in caches.rglob("*") if path.is_file() and b"sesame" in path.read_bytes()]


@pytest.mark.parametrize("damage", ["shorter", "garbage", "writable", "folder"])
def test_what_cannot_be_trusted_is_compiled_again(
    damage: str, project: Path, compiled: list[Project], caches: Path
) -> None:
    first = remembered.load(ONE)
    (kept,) = caches.rglob("compiled/*")
    if damage == "shorter":
        kept.write_bytes(kept.read_bytes()[:-100])
    elif damage == "garbage":
        kept.write_bytes(b"cos\nnothing\n(S'x'\ntR.")
    else:
        (kept if damage == "writable" else kept.parent).chmod(0o777)
    assert remembered.load(ONE) == first
    assert len(compiled) == 2


def test_another_provision_compiles_anew(
    project: Path, compiled: list[Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    (package / "config").mkdir(parents=True)
    (package / "config/a.py").write_text("1")
    monkeypatch.setattr(remembered, "PACKAGE", package)
    remembered.load(ONE)
    remembered.load(ONE)
    assert len(compiled) == 1
    (package / "config/a.py").write_text("22")
    remembered.load(ONE)
    assert len(compiled) == 2


def test_only_the_last_ones_are_kept(
    project: Path, compiled: list[Project], caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "KEPT", 2)
    patterns = ("h1", "all", "h*")
    for pattern in patterns:
        remembered.load(Selection(ONE.playbooks, limit=pattern))
    assert len(list(caches.rglob("compiled/*"))) == 2
    remembered.load(Selection(ONE.playbooks, limit=patterns[-1]))
    assert len(compiled) == 3


def test_what_changes_under_our_eyes_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("one")
    with inputs.watched() as seen:
        inputs.content(path)
        path.write_text("two")
        inputs.content(path)
    assert not seen.repeatable


def test_without_a_place_to_keep_it_all_is_compiled(
    project: Path, compiled: list[Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    remembered.load(ONE)
    remembered.load(ONE)
    assert len(compiled) == 2


def test_a_playbook_that_is_a_dangling_link_is_named(project: Path) -> None:
    (project / "playbooks/q.yml").symlink_to("nowhere")
    with pytest.raises(ConfigError, match=r"playbooks/q\.yml:1:1: there is no such file"):
        remembered.load(Selection())
