"""Lines copied from a shell into a `command`, which no shell runs: what to write for each part.

    CUDA_VISIBLE_DEVICES=0 nohup python3 serve.py > log.txt 2>&1 &

`nohup`, `>` and `&` would be arguments of a program called `CUDA_VISIBLE_DEVICES=0`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from posixpath import basename
from typing import Any

import yaml

from provision.config.model import reject
from provision.config.shellwords import Word, split

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW", re.IGNORECASE)
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh")
_ACTIVATE = re.compile(r"(/[^\s$`*~]+)/bin/activate")
_BY_ITSELF = ("nohup", "setsid", "exec")
_ENDINGS = ("wait", "disown", "true", ":")


@dataclass
class _Line:
    """What a line says, part by part."""

    places: list[str] = field(default_factory=list)
    """Each part with its place."""
    keys: dict[str, Any] = field(default_factory=dict)
    """The keys of the service that say the same, except for the command."""
    before: list[tuple[str, str]] = field(default_factory=list)
    """What only a shell can do before the program is started: text, and the operator after it."""
    program: list[Word] = field(default_factory=list)
    prefix: list[str] = field(default_factory=list)
    """Words that come first."""
    bin: str | None = None
    """Where the program is, by the environment that was activated."""
    shell: str | None = None
    """The shell that is needed, if any."""

    def needs(self, shell: str, place: str) -> None:
        self.shell = "bash" if "bash" in (shell, self.shell) else shell
        self.places.append(place)


def words(value: Any, kind: str) -> Any:
    """Split a text into words by the quotes and backslashes of a shell, without one.

    Args:
        value: a text, or a list, which is only looked at.
        kind: of the service.

    Raises:
        PydanticCustomError: it holds what only a shell would do: where each part goes, and what to write.
    """
    if isinstance(value, str):
        try:
            found = split(value)
        except ValueError as error:
            raise reject("shell-syntax", f"the command has {error}", "write a list of arguments") from None
    elif isinstance(value, list):
        found = [_of_list(item) for item in value if isinstance(item, (str, int))]
    else:
        return value
    line = _Line()
    if not _runs_a_shell(found):
        _read(found, line, kind)
    elif any(word.kind != "word" for word in found):
        _read([word._replace(expands="") for word in found], line, kind)
    if not line.places:
        return [word.text for word in found] if isinstance(value, str) else value
    plain = isinstance(value, str) or len(found) == len(value)
    keys = _suggestion(line) if plain and line.program else None
    write = yaml.safe_dump(keys, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False)
    hint = f"write {write.strip()}" if keys else "write what is left of it as a list"
    if not line.shell:
        hint += ", or for a shell [sh, -c, '…']"
    raise reject("shell-syntax", f"no shell runs this line: {'; '.join(dict.fromkeys(line.places))}", hint)


def _of_list(item: str | int) -> Word:
    """Take an item for what it is; only one that could hardly be meant as it is counts as the shell's."""
    text = str(item)
    if text in ("&&", "||", "|", ";", "&"):
        return Word(text, text, "operator")
    if re.fullmatch(r"[0-9]?>>?|[0-9]?>>?&[0-9]|&>|[0-9]?>>?/\S+", text):
        return Word("", text, "redirection")
    expands = re.match(r"~(?=/)|\$[A-Z_][A-Z0-9_]*(?=/|$)|\$\{[A-Za-z_][A-Za-z0-9_]*\}|\$\([^)]*\)$", text)
    return Word(text, shlex.quote(text), "word", expands[0] if expands else "")


def _runs_a_shell(found: Sequence[Word]) -> bool:
    """Tell a command that starts a shell itself: what it is given is that shell's business."""
    texts = [word.text for word in found]
    given = any(re.fullmatch(r"-[a-z]*c", text) for text in texts)
    return given and basename(texts[0]) in _SHELLS


def _read(found: Sequence[Word], line: _Line, kind: str) -> None:
    """Take a line apart: the last command that is left is the program."""
    commands: list[tuple[list[Word], str]] = [([], "")]
    for word in found:
        if word.kind == "operator":
            commands[-1] = (commands[-1][0], word.text)
            commands.append(([], ""))
        else:
            commands[-1][0].append(word)
    rest = [(command, operator) for command, operator in commands if command]
    for index, (command, operator) in enumerate(rest):
        if operator == "&":
            line.places.append("`&`: the supervisor starts it and keeps it running")
        following = zip(rest[index + 1 :], rest[index:], strict=False)
        last = all(_ends(after, before) for (after, _), (_, before) in following)
        _command(command, operator, last, line, kind)
        if last:
            for after, _ in rest[index + 1 :]:
                line.places.append(f"`{after[0].text}`: the supervisor and its log do it")
            return


def _ends(command: Sequence[Word], operator: str) -> bool:
    """Tell what may follow the program: notes of its pid, waiting for it, a copy of its output."""
    if operator == "|":
        return command[0].text == "tee"
    return command[0].text in _ENDINGS or any(word.expands == "$!" for word in command)


def _command(given: Sequence[Word], operator: str, last: bool, line: _Line, kind: str) -> None:
    command = []
    for word in given:
        if word.kind != "redirection":
            command.append(word)
        elif word.raw.startswith("<"):
            line.needs("sh", f"`{word.raw}`: only a shell reads it from there")
            command.append(word)
        else:
            line.places.append(f"`{word.raw}`: what it prints is its log (`provision logs`)")
    command = _prefixes(command, line, kind)
    if not command:
        return
    name, arguments = command[0].text, command[1:]
    if name == "export":
        for word in arguments:
            _assignment(word, line)
    elif name == "set" and all(word.text.startswith("-") for word in arguments):
        line.places.append("`set`: leave it out")
    elif name == "cd" and not last:
        _directory(arguments, line, kind, operator)
    elif name in ("source", ".") and not last:
        _sourced(command, line, operator)
    elif name == "conda" and arguments[:1] and arguments[0].text in ("activate", "deactivate") and not last:
        _conda(arguments, line)
    elif last:
        _program(command, line)
    else:
        line.needs("sh", f"`{name} … {operator}`: only a shell runs one command after another")
        line.before.append((_raw(command), operator))


def _prefixes(command: list[Word], line: _Line, kind: str) -> list[Word]:
    """Take off what stands before a program: variables, nohup, sudo."""
    while command:
        name = command[0].text
        if _ASSIGNMENT.match(name) and command[0].raw[0] not in "'\"":
            _assignment(command[0], line)
            command = command[1:]
        elif name in _BY_ITSELF:
            line.places.append(f"`{name}`: the supervisor does it")
            command = command[1:]
        elif name == "sudo":
            command = _sudo(command[1:], line, kind)
        else:
            break
    return command


def _sudo(command: list[Word], line: _Line, kind: str) -> list[Word]:
    user = "root"
    while command and command[0].text.startswith("-"):
        option = command[0].text
        if option in ("-u", "--user") and len(command) > 1:
            user, command = command[1].text, command[1:]
        elif option.startswith("--user="):
            user = option.partition("=")[2]
        command = command[1:]
    line.places.append("`sudo`: `user` says who runs it")
    line.keys["user"] = user
    return command


def _assignment(word: Word, line: _Line) -> None:
    name, _, value = word.text.partition("=")
    if not _ASSIGNMENT.match(word.text):
        line.places.append(f"`export {name}`: all of `env` is exported")
    elif word.expands:
        place = "`env` takes it as text, and only a shell puts a value there"
        line.needs("sh", f"`{word.expands}` in `{name}=…`: {place}")
        line.before.append((f"export {word.raw}", "&&"))
    elif name == "CUDA_VISIBLE_DEVICES" and re.fullmatch(r"[0-9]+(,[0-9]+)*|", value):
        line.places.append(f"`{name}=…`: `gpus` says it")
        line.keys["gpus"] = [int(gpu) for gpu in value.split(",") if gpu]
    else:
        line.places.append(f"`{name}=…`: a variable belongs into `env`")
        line.keys.setdefault("env", {})[name] = {"env": name} if _SECRET.search(name) else value


def _directory(arguments: Sequence[Word], line: _Line, kind: str, operator: str) -> None:
    path = arguments[0] if arguments else Word("~", "~", "word", "~")
    if path.expands or not path.text.startswith("/") or kind != "program":
        place = "`working_directory` takes a whole path" if kind == "program" else "only a shell does it"
        line.needs("sh", f"`cd {path.text}`: {place}")
        line.before.append((f"cd {path.raw}", operator))
        return
    line.places.append("`cd`: `working_directory` says it")
    line.keys["working_directory"] = path.text


def _sourced(command: Sequence[Word], line: _Line, operator: str) -> None:
    path = command[1].text if len(command) > 1 else ""
    environment = _ACTIVATE.fullmatch(path)
    if environment:
        declared = f"{{path: {environment[1]}}}"
        place = f"`environment` says it, for `environments: {{NAME: {declared}}}`"
        line.places.append(f"`{command[0].text} {path}`: {place}")
        line.bin = f"{environment[1]}/bin"
        return
    place = "only a shell reads variables from a file; `env` takes them one by one"
    line.needs("bash", f"`{command[0].text} {path}`: {place}")
    line.before.append((_raw(command), operator))


def _conda(arguments: Sequence[Word], line: _Line) -> None:
    name = arguments[1].text if len(arguments) > 1 else "base"
    place = "name the program by its path in it, or let `conda run` start it"
    line.places.append(f"`conda {arguments[0].text}`: {place}")
    if arguments[0].text == "activate":
        if name.startswith("/"):
            line.bin = f"{name}/bin"
        else:
            line.prefix = ["conda", "run", "--no-capture-output", "-n", name]


def _program(command: Sequence[Word], line: _Line) -> None:
    for word in command:
        if word.expands:
            what = {"~": "a home directory", "*": "files that match"}.get(word.expands, "its value")
            line.needs("sh", f"`{word.expands}` in `{word.text}`: only a shell puts {what} there")
    line.program = list(command)


def _raw(command: Sequence[Word]) -> str:
    return " ".join(word.raw.replace("\\\n", " ") for word in command)


def _suggestion(line: _Line) -> dict[str, Any]:
    """Return the keys of the service that say the same as the line."""
    program = line.program
    if line.bin and "/" not in program[0].text and not program[0].expands:
        path = f"{line.bin}/{program[0].text}"
        program = [Word(path, shlex.quote(path)), *program[1:]]
    program = [*(Word(word, word) for word in line.prefix), *program]
    command: Any
    if line.shell:
        before = "".join(
            f"{text}{';' if operator == ';' else ' ' + operator} " for text, operator in line.before
        )
        command = [line.shell, "-c", f"{before}exec {_raw(program)}"]
    else:
        command = shlex.join(word.text for word in program)
    return {"command": command, **line.keys}
