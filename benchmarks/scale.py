"""Time and memory of prepare and score as the number of distinct texts grows.

Example:
    python -m benchmarks.scale RUN                    # 100,000, 1,000,000 and 10,000,000 rows, with the model of a run
    python -m benchmarks.scale RUN --rows 100000      # one size
    python -m benchmarks.scale RUN --folder DIR       # where the tables go, 3 GiB for the largest; else the system's

Each step is a process of its own, so that its peak of memory is its own. What a text costs is the growth of that peak
from the smallest size to the largest, divided by the growth of the number of texts.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SIZES = [100_000, 1_000_000, 10_000_000]

PREPARE = """
from pathlib import Path
from compliance import data, reading, screening, splitting
source, folder = arguments
layout, plan = reading.Layout(), splitting.SplitPlan()
opened = reading.open_source(source, layout, reading.columns(layout))
screened = screening.screen(opened, layout, plan, Path(folder), report=lambda line: print(line, file=sys.stderr))
screening.check_limits(screened, minimum_rows=500, reject_limit=0.01)
overview = screening.divide(screened, plan, Path(folder))
data.write_splits(Path(folder), screened)
data.write_report(Path(folder), data.report(opened, plan, screened, overview, Path(folder)))
screened.close()
data.verify(folder)
assert overview["texts"].sum() == screened.rows_read, "all texts are distinct"
"""
SCORE = """
from pathlib import Path
from compliance.inventory import Columns, score
from compliance.scorer import Scorer
source, folder, model = arguments
summary = score(source, Columns(), Scorer.load(model), Path(folder) / "scored.csv")
assert summary["scored"] == summary["rows"]
"""
MEASURED = """
import json, resource, sys, time
arguments = sys.argv[1:]
began = time.monotonic()
{program}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({{"seconds": time.monotonic() - began, "peak": peak}}))
"""


def write_table(path: Path, rows: int) -> None:
    """Write rows whose texts are distinct: descriptions as the lab's, each with a number of its own."""
    from compliance.generate import connected_car

    with path.open("w", encoding="utf-8") as stream:
        stream.write("text,label\n")
        for first in range(0, rows, 100_000):
            made = connected_car(min(100_000, rows - first), first)
            pairs = zip(made["text"], made["label"], strict=True)
            stream.writelines(f"{text} number {first + n},{label}\n" for n, (text, label) in enumerate(pairs))


def measure(program: str, *words: str) -> dict[str, float]:
    """Run a program in a process of its own; give its seconds and its peak of memory in bytes."""
    call = [sys.executable, "-c", MEASURED.format(program=program), *words]
    done = subprocess.run(call, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def main() -> None:
    """Measure each size and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", default="last", help="id of a run, the beginning of one, a path, or last")
    parser.add_argument("--rows", type=int, action="append", metavar="N", help="a size; may be repeated")
    parser.add_argument("--folder", type=Path, help="where the tables go")
    options = parser.parse_args()

    from runner import record

    model = record.find(ROOT / "runs", options.run) / "evaluate" / "model"
    found: dict[str, list[dict[str, float]]] = {"prepare": [], "score": []}
    sizes = sorted(options.rows or SIZES)
    for rows in sizes:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            source = Path(folder) / "parts.csv"
            began = time.monotonic()
            write_table(source, rows)
            print(f"{rows:,} rows written in {time.monotonic() - began:.0f} s", file=sys.stderr)
            found["prepare"].append(measure(PREPARE, str(source), folder))
            found["score"].append(measure(SCORE, str(source), folder, str(model)))
            print({step: measured[-1] for step, measured in found.items()}, file=sys.stderr)

    print("| step | distinct rows | seconds | rows a second | peak memory, MiB |\n|---|---|---|---|---|")
    for step, measured in found.items():
        for rows, one in zip(sizes, measured, strict=True):
            rate = rows / one["seconds"]
            print(f"| {step} | {rows:,} | {one['seconds']:.1f} | {rate:,.0f} | {one['peak'] / 2**20:,.0f} |")
    for step, measured in found.items():
        if len(sizes) > 1:
            growth = (measured[-1]["peak"] - measured[0]["peak"]) / (sizes[-1] - sizes[0])
            print(f"\n{step}: {growth:.1f} bytes for each text more")


if __name__ == "__main__":
    main()
