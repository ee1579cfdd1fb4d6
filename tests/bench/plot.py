"""Seconds against hosts: ``python plot.py BENCH.json PLOT.svg``, run where matplotlib is."""

import json
import sys

import matplotlib  # type: ignore[import-not-found,unused-ignore]

matplotlib.use("svg")
from matplotlib import pyplot  # type: ignore[import-not-found,unused-ignore]

CASES = {"cold": "nothing to change, new connections", "kept": "nothing to change, kept connections"}


def main() -> None:
    """Draw one panel per case, without added latency."""
    with open(sys.argv[1], encoding="utf-8") as file:
        rows = [row for row in json.load(file)["records"] if row["latency"] == 0]
    figure, panels = pyplot.subplots(1, len(CASES), figsize=(10, 4), sharey=True)
    for panel, (case, title) in zip(panels, CASES.items(), strict=True):
        for tool in dict.fromkeys(row["tool"] for row in rows):
            # a tool that keeps no connections takes as long again
            mine = [row for row in rows if row["tool"] == tool]
            points = [row for row in mine if row["case"] == case] or [r for r in mine if r["case"] == "cold"]
            points.sort(key=lambda row: row["hosts"])
            style = "--" if tool.startswith("ssh") else "-"
            xs, ys = [row["hosts"] for row in points], [row["seconds"] for row in points]
            panel.plot(xs, ys, style, marker="o", label=tool)
        panel.set(title=title, xlabel="hosts", xscale="log", yscale="log")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("seconds")
    panels[1].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None})


if __name__ == "__main__":
    main()
