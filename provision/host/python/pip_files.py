"""What the files and variables of pip say, read without a pip: a new environment has none yet."""

from __future__ import annotations

import configparser
import os
from typing import Mapping

from provision.host.python.pip_configuration import SYNONYMS, Configuration


def read(environment: str, environ: Mapping[str, str]) -> Configuration:
    """Return what holds for `pip install` in an environment, as pip's documentation of its files says.

    Args:
        environment: its directory, which need not exist.
        environ: the variables that pip will have.
    """
    levels: list[Configuration] = []
    for section in ("global", "install"):
        level: Configuration = {}
        for path in _files(environment, environ):
            level.update(_section(path, section))
        levels.append(level)
    variables = {
        name[len("PIP_") :].lower().replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("PIP_") and value
    }
    merged = {**levels[0], **levels[1], **variables}
    return {SYNONYMS.get(option, option): value for option, value in merged.items()}


def _files(environment: str, environ: Mapping[str, str]) -> list[str]:
    """Return the files in their order: what comes later wins."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    above = environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    places = [os.path.join(place, "pip", "pip.conf") for place in above.split(os.pathsep)]
    places.append("/etc/pip.conf")
    if named is None or not os.path.exists(named):
        home = os.path.expanduser("~")
        own = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
        places += [os.path.join(home, ".pip", "pip.conf"), os.path.join(own, "pip", "pip.conf")]
    return [*places, os.path.join(environment, "pip.conf"), *([named] if named else [])]


def _section(path: str, section: str) -> Configuration:
    parser = configparser.RawConfigParser()
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except (OSError, ValueError, configparser.Error):
        return {}  # pip will say what is wrong with it
    if not parser.has_section(section):
        return {}
    return {
        option.lower().replace("_", "-").lstrip("-"): value.strip()
        for option, value in parser.items(section)
        if value
    }
