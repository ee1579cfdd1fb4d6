"""What the host's own shells see of strings from a playbook is the strings."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provision.catalog import text
from provision.config.problems import ConfigError
from tests.fuzz.strings import FORBIDDEN, SIZE, batches, same, spoiled, strings


def run(shell: str, script: Path, content: str) -> list[str]:
    """Run a script; returns what it prints, cut at NUL."""
    script.write_text(content, encoding="utf-8")
    done = subprocess.run([shell, script], capture_output=True, check=True, env={"PATH": "/usr/bin:/bin"})
    assert done.stderr == b""
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_words_of_a_script(tmp_path: Path, shell: str) -> None:
    given = list(strings(SIZE, shell))
    for part in batches(given, 2000):
        same(part, run(shell, tmp_path / "script", f"printf '%s\\0' {text.sh_words(part)}\n"))


def test_an_env_file_as_sh_sources_it(tmp_path: Path) -> None:
    given = list(strings(SIZE, "env"))
    for part in batches(given, 2000):
        lines = "".join(f"{text.env_line(f'V{number}', value)}\n" for number, value in enumerate(part))
        printed = "".join(f"printf '%s\\0' \"$V{number}\"\n" for number in range(len(part)))
        (tmp_path / "env").write_text(lines, encoding="utf-8")
        same(part, run("/bin/sh", tmp_path / "script", f"set -a; . {tmp_path}/env; set +a\n{printed}"))


def test_a_comment_ends_with_its_line(tmp_path: Path) -> None:
    given = [*strings(SIZE // 5, "comment"), *spoiled(SIZE // 5, "comment")]
    lines = "".join(f"# {text.comment(value)}\n" for value in given)
    assert run(
        "/bin/sh", tmp_path / "script", lines.encode("utf-8", "replace").decode() + "printf 'end\\0'\n"
    ) == ["end"]


def test_what_can_stand_nowhere_is_refused() -> None:
    for value in [*FORBIDDEN, *spoiled(SIZE)]:
        for quote in (text.sh, text.env_escape, text.unit, text.unit_word, text.haproxy):
            with pytest.raises(ConfigError, match="cannot stand in"):
                quote(value)
