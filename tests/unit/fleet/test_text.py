"""No string from a YAML file ends the value that it stands in: proven with the programs that read it."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provision.catalog import text
from provision.catalog.text import NotKeptError, PrivateText, SecretPart, SecretText
from provision.config.problems import ConfigError
from provision.wire.specs.command import CommandSpec

# Everything that can stand in a value, with what shells, systemd and env files treat as special drawn often.
SPECIAL = st.sampled_from(
    [*"\"'\\$`%;#&|<>(){}[]*?!~=-+@:,. \t", "$(id)", "${HOME}", "%h", "%%", "$$", "\\n"]
)
NONE = [
    *range(0xFDD0, 0xFDF0),
    *(plane + end for plane in range(0, 0x110000, 0x10000) for end in (0xFFFE, 0xFFFF)),
]
PLAIN = st.characters(codec="utf-8", exclude_characters=[chr(c) for c in (*range(32), 127, *NONE) if c != 9])
VALUES = st.lists(st.one_of(SPECIAL, PLAIN), max_size=12).map("".join)
REAL = settings(max_examples=60)


def run_sh(script: str) -> list[str]:
    """Run a script with the real sh in an empty environment; returns what it prints, cut at NUL."""
    path = "/usr/bin:/bin"
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, env={"PATH": path})
    return done.stdout.decode().split("\0")[:-1]


class TestShell:
    @REAL
    @given(st.lists(VALUES, min_size=1, max_size=6))
    def test_words_come_out_of_sh_as_they_went_in(self, values: list[str]) -> None:
        assert run_sh("printf '%s\\0' " + text.sh_words(values)) == values

    def test_plain_words_stay_readable(self) -> None:
        assert text.sh_words(("--model", "/data/x-1.5B", "0.9")) == "--model /data/x-1.5B 0.9"


class TestEnvFile:
    @REAL
    @given(VALUES)
    def test_sh_reads_back_what_was_written(self, tmp_path: Path, value: str) -> None:
        file = tmp_path / "env"
        file.write_text(
            text.env_line("NAME", value) + "\n" + text.env_line("AFTER", "x") + "\n", encoding="utf-8"
        )
        assert run_sh(f'set -a; . {file}; set +a; printf \'%s\\0\' "$NAME" "$AFTER"') == [value, "x"]

    @pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "Ä", "A\n"])
    def test_names_that_are_none(self, name: str) -> None:
        with pytest.raises(ConfigError, match="no name for an environment variable"):
            text.env_line(name, "x")


class TestControlCharacters:
    @pytest.mark.parametrize("function", [text.sh, text.env_escape, text.unit, text.unit_word])
    @pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b", "\x1b[0m", "\x7f", "\ud800"])
    def test_are_refused_everywhere(self, function: object, bad: str) -> None:
        assert callable(function)
        with pytest.raises(ConfigError) as error:
            function(bad)
        assert bad not in str(error.value)

    def test_tabs_are_not(self) -> None:
        assert text.check("a\tb") == "a\tb"

    @given(st.text())
    def test_a_comment_is_one_line(self, value: str) -> None:
        assert not set(text.comment(value)) & set("\n\r\0")


class TestUnits:
    def test_specifiers_variables_and_quotes(self) -> None:
        assert text.unit("100% $x") == "100%% $x"
        assert text.unit_word('a "b" \\ %h $HOME', command=True) == '"a \\"b\\" \\\\ %%h $$HOME"'
        assert text.unit_word("$HOME") == '"$HOME"'

    @pytest.mark.parametrize("value", [" x", "x ", "x\\"])
    def test_what_a_whole_setting_would_lose_is_refused(self, value: str) -> None:
        with pytest.raises(ConfigError):
            text.unit(value)


class TestSecrets:
    def test_masked_until_revealed_and_then_escaped_for_its_place(self) -> None:
        secret = _Secret("K")
        content = SecretText(('KEY="', SecretPart(secret, "envfile"), '"\n'))  # type: ignore[arg-type]
        assert str(content) == f"{content}" == 'KEY="***"\n'
        assert json.dumps(content) == json.dumps('KEY="***"\n')
        assert content.reveal(lambda _: 'a"$b') == 'KEY="a\\"\\$b"\n'

    def test_a_secret_with_a_line_end_is_refused_without_showing_it(self) -> None:
        content = SecretText((SecretPart(_Secret("K")),))  # type: ignore[arg-type]
        with pytest.raises(ConfigError) as error:
            content.reveal(lambda _: "hunter2\nroot::0:0")
        assert "hunter2" not in str(error.value)

    def test_in_nested_data(self) -> None:
        token = SecretText((SecretPart(_Secret("T")),))  # type: ignore[arg-type]
        spec = CommandSpec(name="c", argv=["x"], env={"TOKEN": token, "AGAIN": token, "A": "b"})
        assert text.reveal(spec.plain(), lambda _: "v")["env"] == {"TOKEN": "v", "AGAIN": "v", "A": "b"}
        assert text.secrets(spec) == [_Secret("T")]
        assert "***" in json.dumps(spec.plain())

    def test_two_are_the_same_when_their_secrets_are(self) -> None:
        """Not when they look the same: a file with another secret is another file."""
        one, same, other = (SecretText((SecretPart(_Secret(name)),)) for name in "AAB")  # type: ignore[arg-type]
        assert (one == same, one != same, hash(one) == hash(same)) == (True, False, True)
        assert (one == other, one != other, one == "***", one != "***") == (False, True, False, True)

    def test_can_be_remembered_but_not_with_a_text_that_is_declared_secret(self) -> None:
        kept = SecretText(("a", SecretPart(_Secret("A"))))  # type: ignore[arg-type]
        assert pickle.loads(pickle.dumps(kept)) == copy.deepcopy(kept) == kept
        with pytest.raises(NotKeptError):
            pickle.dumps(SecretText((PrivateText("hunter2"),)))


class _Secret:
    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Secret) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)
