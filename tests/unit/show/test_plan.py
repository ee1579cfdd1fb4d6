"""The words of a plan, from events as hosts send them."""

from __future__ import annotations

from typing import Any

import pytest

from provision.show.report import Report
from provision.show.terminal.differences import plan_lines, summary
from provision.show.terminal.flags import changed_flags
from provision.show.terminal.plan import waiting_words
from provision.wire import events, rollout
from provision.wire.figures import Figures
from provision.wire.finding import Finding

FACTS = events.Facts(hostname="h", os="Debian 12", arch="x86_64", cpus=2, memory=16_000_000_000)

HELLO = events.Hello(
    provision="0", wire=0, python="3.11.2", pid=1, user="root", root=True, now=0.0, facts=FACTS
)

PROOF = {"role": events.PROOF, "changes": {"proven": (False, True)}}

STOPPED = {"active": (False, True)}

NOTHING: dict[str, Any] = {"changes": {}}


def seen(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "type": id.split(":")[0], "label": id.split(":", 1)[-1], **more}


def said(message: str, hint: str | None = None) -> Finding:
    return Finding(code="code", message=message, hint=hint)


def report(**hosts: list[dict[str, Any]]) -> Report:
    """Make the report of a plan: by host what was inspected."""
    made = Report(hosts)
    for host, resources in hosts.items():
        made.take(HELLO.replace(host=host))
        for resource in resources:
            made.take(events.Inspected(host=host, **resource))
        ok = not any(resource.get("finding") for resource in resources)
        made.take(events.Done(host=host, ok=ok))
    return made


def text(made: Report, diffs: bool = True) -> str:
    return "\n".join(plan_lines(made, diffs))


FILE = seen(
    "file:/etc/a",
    new=True,
    changes={"kind": (None, "file"), "content": (None, "x")},
    diff="--- /dev/null\n+++ /etc/a\n@@ -0,0 +1 @@\n+a = 1",
)

MODE = seen("file:/etc/b", changes={"mode": ("0644", "0600")})


def test_golden() -> None:
    made = report(
        h1=[
            FILE,
            MODE,
            seen(
                "apt",
                label="packages",
                new=True,
                changes={"git": (None, "installed")},
                work=events.Work(install=["git"], bytes=9_400_000),
            ),
            seen("unit:tiny", label="service tiny", service="tiny", changes={"current": (False, True)}),
            seen("probe:tiny", label="answer of tiny", service="tiny", **PROOF),
            seen("directory:/srv", **NOTHING),
        ],
        h2=[seen("file:/etc/c", finding=said("/etc/c is a directory", "remove it"))],
    )  # fmt: skip
    made.take(events.Restart(host="h1", service="tiny", because=["file:/etc/a"]))
    made.take(events.Orphan(host="h1", service="old", playbooks=["main"], ids=["a", "b"]))
    assert text(made) == (
        "h1  Debian 12, Python 3.11.2, 2 CPUs, 16.0 GB memory\n"
        "  + /etc/a\n"
        "      +a = 1\n"
        "  ~ /etc/b: mode 0644 → 0600\n"
        "  + packages: install git; download 9.4 MB\n"
        "  ↻ restart tiny, because of /etc/a\n"
        "  - orphaned: service old (2 resources) has left main; `apply --prune` removes it\n"
        "\n"
        "h2  Debian 12, Python 3.11.2, 2 CPUs, 16.0 GB memory\n"
        "  ! /etc/c: /etc/c is a directory [code]\n"
        "      remove it\n"
        "\n"
        "Plan: 2 hosts, 2 to add, 1 to change, 1 restart, 1 service to prove, "
        "1 resource could not be inspected, 1 orphaned, 1 host in trouble, 1 as declared. Downloads: 9.4 MB."
    )


def test_a_restart_tells_of_the_last_start() -> None:
    made = report(h1=[FILE], h2=[FILE])
    for host, seconds, tokens in (("h1", 43.2, 473216), ("h2", 47.0, 473200)):
        learned = Figures(seconds=seconds, tokens=tokens, length=8192, sequences=57.76)
        made.take(events.Restart(host=host, service="tiny", because=["file:/etc/a"], figures=learned))
    assert text(made).splitlines()[:5] == [
        "h1, h2  Debian 12, Python 3.11.2, 2 CPUs, 16.0 GB memory",
        "  + /etc/a",
        "      +a = 1",
        "  ↻ restart tiny, because of /etc/a",
        "    tiny: its last start took up to 47 s; its cache had room for 473,200 tokens: "
        "57.8 sequences of 8,192",
    ]


def test_a_hundred_equal_hosts_are_one_paragraph() -> None:
    made = report(**{f"h{number}": [FILE] for number in range(1, 101)}, odd=[MODE])
    lines = text(made).splitlines()
    assert lines[0].startswith("h1, h2, h3, h4, h5, h6 and 94 more  Debian 12")
    assert [line for line in lines if line.startswith("odd")]
    assert len(lines) == 8
    assert lines[-1] == "Plan: 101 hosts, 100 to add, 1 to change, 0 as declared."


def test_hosts_come_in_the_order_of_the_inventory_whoever_was_first() -> None:
    made = Report(["b", "a"])
    for host, path in (("a", "/1"), ("b", "/2")):
        made.take(events.Inspected(host=host, **seen(f"file:{path}", changes={"kind": (None, "file")})))
        made.take(events.Done(host=host, ok=True))
    assert [line for line in text(made).splitlines() if line and line[0] in "ab"] == ["b", "a"]


def test_hosts_in_trouble_have_one_line_each_and_are_counted() -> None:
    made = Report(["gone", "broken", "silent"])
    made.take(rollout.Unreachable(host="gone", finding=said("no route to host", "is it on?")))
    made.take(events.Error(host="broken", finding=said("there is no python3 on the host")))
    assert text(made).splitlines() == [
        "gone", "  ! no route to host; is it on? [code]", "",
        "broken", "  ! there is no python3 on the host [code]", "",
        "silent", "  ! the host did not finish", "",
        "Plan: 3 hosts, 0 to add, 0 to change, 3 hosts in trouble, 0 as declared.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("resource", "line"),
    [
        (seen("unit:s", label="service s", new=True, changes=STOPPED), "  + service s"),
        (seen("unit:s", label="service s", changes=STOPPED), "  ~ service s: not active"),
        (seen("process:s", label="service s", new=True, changes={"running": (False, True)}), "  + service s"),
        (seen("directory:/d", changes={"owner": ("root", "ops")}), "  ~ /d: owner root → ops"),
        (seen("file:/f", changes={"content": ("a", "b")}), "  ~ /f: content differs"),
        (seen("user:u", changes={"groups": ([], ["video"])}), '  ~ u: groups [] → ["video"]'),
        (seen("probe:s", service="s", **PROOF), "  ? then prove that s answers"),
    ],
)  # fmt: skip
def test_what_is_new_and_what_is_different(resource: dict[str, Any], line: str) -> None:
    assert text(report(h=[resource])).splitlines()[1] == line


def test_of_a_long_new_file_the_beginning_is_shown_and_of_a_changed_one_everything() -> None:
    added = "\n".join(["@@ -0,0 +1,60 @@", *(f"+{number}" for number in range(60))])
    changed = "\n".join(["@@ -1,60 +1,60 @@", *(f"-{n}\n+{n + 1}" for n in range(60))])
    new = text(
        report(h=[seen("file:/new", new=True, changes={"content": (None, "x")}, diff=added)])
    ).splitlines()
    assert new[2] == "      +0"
    assert new[25:27] == ["      +23", "      … 36 more lines, as `provision render` shows them"]
    old = text(report(h=[seen("file:/old", changes={"content": ("y", "x")}, diff=changed)]))
    assert old.count("\n") > 120
    assert "@@" in old
    assert text(report(h=[FILE]), diffs=False).count("\n") == 3


def test_a_line_of_a_file_that_looks_like_a_header_of_a_diff_is_shown() -> None:
    diff = "--- /etc/a\n+++ /etc/a\n@@ -1 +1 @@\n---flag\n+++flag"
    said = text(report(h=[seen("file:/etc/a", changes={"content": ("y", "x")}, diff=diff)]))
    assert "      ---flag\n      +++flag\n" in said


def test_changed_flags() -> None:
    former = [
        ["serve", "x"],
        ["--max-num-seqs", "32"],
        ["--enforce-eager"],
        ["--port=80"],
        ["--names", "a", "b"],
    ]
    declared = [["--seed", "1"], ["--max-num-seqs", "64"], ["--names", "a", "b c"], ["--port=80"], ["-v"]]
    assert changed_flags(former, declared) == [
        "--max-num-seqs 32 → 64",
        "--enforce-eager (dropped)",
        "--names a b → a 'b c'",
        "--seed 1 (new)",
        "-v (new)",
    ]
    assert changed_flags(former, former[::-1]) == []


def test_flags_stand_between_a_file_and_its_diff() -> None:
    diff = "--- /s\n+++ /s\n@@ -1 +1 @@\n-  --seed 1\n+  --seed 2"
    script = seen(
        "file:/s", changes={"content": ("a", "b")}, diff=diff, options=([["--seed", "1"]], [["--seed", "2"]])
    )
    assert "  ~ /s: content differs\n      --seed 1 → 2\n      @@" in text(report(h=[script]))


def test_the_sum_of_nothing() -> None:
    assert summary(report(h=[])) == "Plan: 1 host, 0 to add, 0 to change, 0 as declared."


def test_who_is_waited_for() -> None:
    assert waiting_words(100, [f"h{n}" for n in range(90)]) == (
        "10 of 100 hosts, waiting for h0, h1, h2, h3 and 86 more"
    )
    assert waiting_words(3, []) == ""


def test_the_nodes_of_one_service_restart_once() -> None:
    made = report(a=[FILE], b=[seen("unit:chat", role=events.SERVICE, service="chat", **NOTHING)])
    for host, more in (("a", {"because": ["file:/etc/a"]}), ("b", {"led_by": ["a"]})):
        made.take(events.Restart(host=host, service="chat", nodes=["a", "b"], **more))  # type: ignore[arg-type]
    shown = text(made)
    assert "↻ restart chat on a, b together, because of /etc/a" in shown
    assert "↻ restart chat on a, b together, because of what changes on a" in shown
    assert "1 restart," in shown
