"""``python -m tests.bench``: provision, its peers and bare ssh doing the same work on real hosts.

Boots the hosts, installs the peers where they are not yet, and prints a table after each setting. Only the
ratios of one run mean something: everything shares one machine. Needs what the lab needs (root, nspawn).
^C ends a setting early (the next one begins); what was measured is reported.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.lab import Lab, LabError
from tests.lab.commands import run

from . import document, peers, prepared, report
from .cases import CASES, Bench
from .delay import Delay
from .hosts import BenchBase, settle
from .meter import Meter
from .quiet import noisy, quiet
from .tools import TOOLS, Forks, Tool


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, measure, report."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _run(options)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.json and options.plot:
        python = str(peers.install() / "bin/python")
        run([python, str(Path(__file__).with_name("plot.py")), str(options.json), str(options.plot)])
    if options.docs:
        document.renew()
    return 0


def _save(path: Path, environment: Path, key: str, fresh: list[report.Row]) -> None:
    """Put rows into the file; those of other settings stay, as ratios are of one run."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"records": [], "forks": []}
    measured = {(row["hosts"], row["latency"]) for row in fresh}
    found[key] = [row for row in found[key] if (row["hosts"], row["latency"]) not in measured] + fresh
    found |= {"releases": peers.releases(environment), "cpus": os.cpu_count()}
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _run(options: argparse.Namespace) -> None:
    environment = peers.install(options.upgrade)
    meters: dict[str, Meter] = {}
    try:
        with Lab(f"bench-{os.getpid()}", owned=True) as lab:
            lab.up(0)
            names = [f"h{number}" for number in range(1, max(options.hosts) + 1)]
            with noisy(options.lock):
                hosts = lab.add(*names, base=BenchBase())
                settle(hosts)
            work = prepared.prepare(lab, hosts[0], peers.cache() / "work")
            tools = list(_tools(options, lab, work, environment))
            meters |= {tool.name: Meter(tool.name.strip("-").replace(" ", "-")) for tool in tools}
            try:
                for count in options.hosts:
                    some = [tool for tool in tools if not tool.slow or count <= options.slow_hosts]
                    for tool in some:
                        tool.choose(hosts[:count])
                    for latency in options.latency:
                        with Delay(lab, latency):
                            rows = _measure(options, some, meters, latency)
                        if options.json:
                            _save(options.json, environment, "forks" if options.forks else "records", rows)
            finally:
                for tool in tools:
                    tool.disconnect()
    finally:
        for meter in meters.values():
            meter.remove()


def _measure(
    options: argparse.Namespace, tools: list[Tool], meters: dict[str, Meter], latency: float
) -> list[report.Row]:
    bench = Bench(
        tools,
        meters,
        tools[0].hosts,
        latency,
        options.cases,
        options.repeats,
        options.slow_repeats,
        options.budget,
    )
    with noisy(options.lock):
        bench.prepare()
    try:
        with quiet(options.lock):
            _follow(bench)
    except KeyboardInterrupt:
        print("interrupted: this setting ends here", file=sys.stderr)
    rows = [record.summary() for record in bench.records.values() if record.costs]
    print(report.forks(rows) if options.forks else report.markdown(rows), flush=True)
    return rows


def _follow(bench: Bench) -> None:
    for record in bench.run():
        cost = record.costs[-1]
        print(
            f"  {len(record.costs)} {record.tool:12} {record.case:8} {cost.seconds:8.2f} s", file=sys.stderr
        )


def _tools(options: argparse.Namespace, lab: Lab, work: Path, environment: Path) -> Iterator[Tool]:
    """Make the tools, each with a directory of a short name: OpenSSH puts sockets into it."""
    for number in options.forks:
        yield Forks(number, lab, peers.cache() / f"forks{number}", work, environment)
    for name in TOOLS if not options.forks else ():
        if name in options.tools:
            yield TOOLS[name](lab, peers.cache() / name.replace(" ", "")[:9], work, environment)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--hosts", type=_numbers, default=[1, 10], help="how many, such as 1,10,50,100")
    parser.add_argument("--latency", type=_milliseconds, default=[0.0], help="added milliseconds: 0,40")
    parser.add_argument("--tools", type=_known(TOOLS), default=list(TOOLS), help=", ".join(TOOLS))
    parser.add_argument("--cases", type=_known(CASES), default=list(CASES), help=", ".join(CASES))
    parser.add_argument("--repeats", type=int, default=5, help="rounds; medians are shown (default: 5)")
    parser.add_argument(
        "--slow-repeats", type=int, default=2, help="rounds with ansible and mitogen (default: 2)"
    )
    parser.add_argument(
        "--slow-hosts",
        type=int,
        default=10,
        help="most hosts that ansible and mitogen are tried on (default: 10)",
    )
    parser.add_argument(
        "--budget",
        type=float,
        default=600,
        help="seconds after which a tool gets no further round in a setting",
    )
    parser.add_argument(
        "--forks",
        type=_numbers,
        default=[],
        help="instead of tools: provision with so many hosts at once, such as 16,32,64",
    )
    parser.add_argument(
        "--json", type=Path, help="write all numbers to this file; those of other settings in it stay"
    )
    parser.add_argument("--plot", type=Path, help="draw seconds against hosts to this SVG; needs --json")
    parser.add_argument(
        "--docs",
        action="store_true",
        help="write numbers, plot and tables into docs/ (its own --json, --plot)",
    )
    parser.add_argument(
        "--lock", type=Path, help="a file that others who measure here lock, too: one measures at a time"
    )
    parser.add_argument("--upgrade", action="store_true", help="install the latest peers anew")
    options = parser.parse_args(arguments)
    if options.docs:
        options.json, options.plot = document.RECORDS, document.PLOT
    return options


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _milliseconds(text: str) -> list[float]:
    return [float(word) / 1000 for word in text.split(",")]


def _known(names: Iterable[str]) -> Callable[[str], list[str]]:
    known = list(names)

    def words(text: str) -> list[str]:
        found = [word.strip() for word in text.split(",")]
        unknown = [word for word in found if word not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of: {', '.join(known)}")
        return found

    return words


if __name__ == "__main__":
    sys.exit(main())
