"""The runner beside papermill and bare nbclient: many cells, floods of output, what a phase costs outside its cells.

Example:
    python -m benchmarks.runner                       # all of it: about seven minutes, most of them papermill's
    python -m benchmarks.runner --limit 60            # papermill is stopped after a minute for each notebook
    python -m benchmarks.runner --cells 100 --many 200 --megabytes 5 --lines 1000 --repeats 1      # a quick look

Everything is measured in one run, on Linux. Each measurement is a process of its own, so that its peak of memory is its
own; its time begins when the libraries are imported and ends when the kernel is gone. What is short is repeated, in
turns with what it is compared with. Machines are shared and noisy: read the ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).resolve().parents[1]
PEAK = """
import re, sys
sys.stderr.write(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""  # of the kernel, in KiB
KERNELSPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}
PHASES = ["first", "second", "third"]
PARTS = ["start of trey", "start of the kernel", "end of the kernel", "record, plan, page and report"]

TREY = """
from runner.execute import execute
from runner.phase import Events, tell_cells
from runner.redaction import Redactor
class Listener:
    def cell(self, *words): pass
    def note(self, text): pass
on_cell = tell_cells("bench", Events(output.with_suffix(".events"), Redactor({})), Listener())  # as in a run
def run():
    outcome = execute(source, output, {}, on_cell=on_cell)
    assert outcome.cause is None, outcome
"""
PAPERMILL = """
import papermill
def run():
    papermill.execute_notebook(str(source), str(output), progress_bar=False)
"""
NBCLIENT = """
import nbclient, nbformat
document = nbformat.read(source, as_version=4)
def run():
    nbclient.NotebookClient(document).execute()
"""
MEASURED = """
import json, os, re, sys, time
from pathlib import Path
source, output = Path(sys.argv[1]), Path(sys.argv[2])
def processor():  # seconds, those of kernels that are gone included
    return sum(os.times()[:4])
{program}
began, used = time.monotonic(), processor()
run()
seconds, used = time.monotonic() - began, processor() - used
[peak] = re.findall(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps({{"seconds": seconds, "processor": used, "peak": int(peak) / 1024}}))
"""


def write_notebook(path: Path, *cells: str) -> Path:
    document = nbformat.v4.new_notebook(metadata={"kernelspec": KERNELSPEC})
    document.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(document, path)
    return path


def trivial(cells: int) -> list[str]:
    """Give the cells of a notebook that does next to nothing, and checks that each kernel is this interpreter."""
    same = f"import sys; assert sys.executable == {sys.executable!r}, sys.executable"
    return [same, *(f"x = {n}" for n in range(1, cells))]


def measure(program: str, source: Path, output: Path, limit: float | None = None) -> dict[str, Any] | None:
    """Execute a notebook in a process of its own; None where it takes longer than the limit.

    Gives seconds (by the clock, and of processors with the kernel's), the peak of memory in MiB, what the executed
    notebook holds of stdout and stderr, and the sizes of notebook and log in bytes.
    """
    call = [sys.executable, "-c", MEASURED.format(program=program), str(source), str(output)]
    print(f"{source.stem}: {output.stem}", file=sys.stderr)
    with subprocess.Popen(
        call, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        try:
            said, errors = child.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            child.terminate()  # a kernel ends itself when its parent is gone
            return None
    assert child.returncode == 0, errors
    found: dict[str, Any] = json.loads(said)
    if output.is_file():
        cells = nbformat.read(output, as_version=4).cells
        outputs = [out for cell in cells for out in cell.get("outputs", []) if out.output_type == "stream"]
        for name in ("stdout", "stderr"):
            found[name] = "".join(out.text for out in outputs if out.name == name)
        found["size"] = output.stat().st_size
        logs = output.parent.glob(f"{output.stem}.*.log")
        found["logged"] = sum(path.stat().st_size for path in logs)
    return found


def taking_turns(programs: dict[str, str], source: Path, folder: Path, repeats: int) -> dict[str, list[dict[str, Any]]]:
    """Measure each as often as asked, one after the other, every other time the other way round."""
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in programs}
    for repeat in range(repeats):
        for name in list(programs) if repeat % 2 == 0 else list(reversed(programs)):
            found = measure(programs[name], source, folder / f"{name}.ipynb")
            assert found
            measured[name].append(found)
    return measured


def median(measured: list[dict[str, Any]], what: str) -> float:
    return statistics.median(one[what] for one in measured)


def ratio(measured: dict[str, list[dict[str, Any]]], what: str) -> float:
    """Give the median of what one took beside the other in the same turn."""
    one, other = measured.values()
    return statistics.median(mine[what] / theirs[what] for mine, theirs in zip(one, other, strict=True))


def overhead(folder: Path) -> dict[str, float]:
    """Run three trivial phases with `trey run`; give the wall time outside the cells for each phase, and its parts."""
    for name in PHASES:
        write_notebook(folder / "notebooks" / f"{name}.ipynb", "x = 1", "print(x)")
    (folder / "params").mkdir(exist_ok=True)
    (folder / "params" / "pipeline.yaml").write_text(f"phases: [{', '.join(PHASES)}]\n", encoding="utf-8")
    words = ["run", "--fresh", "--json", "--pipeline", str(folder / "params" / "pipeline.yaml")]
    began, at = time.monotonic(), time.time()
    done = subprocess.run(
        [sys.executable, "-m", "runner", *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    wall = time.monotonic() - began
    lines = (folder / "runs" / json.loads(done.stdout)["run_id"] / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    start, kernel_start, kernel_end, rest = PARTS
    ended_by = {"run-started": start, "cell-started": kernel_start, "phase-ended": kernel_end}
    parts = dict.fromkeys(PARTS, 0.0)
    before = at
    for event in events:
        moment = datetime.fromisoformat(event["at"]).timestamp()
        if event["event"] != "cell-ended" and event.get("cell", 0) == 0:
            parts[ended_by.get(event["event"], rest)] += moment - before
        before = moment
    parts[rest] += at + wall - before
    inside = sum(event.get("seconds") or 0.0 for event in events if event["event"] == "cell-ended")
    return {"outside": wall - inside, **parts}


def verdict(met: bool) -> str:
    return "yes" if met else "**no**"


def flooded(found: dict[str, Any] | None, limit: float, expected: int) -> str:
    """Give the columns of a notebook that prints a lot."""
    if found is None:
        return f"over {limit:.0f}, stopped | | | | | "
    arrived = found["logged"] or len(found["stdout"])
    told = "all" if arrived == expected else f"{arrived:,} of {expected:,} characters"
    memory = f"{found['peak']:,.0f} | {int(found['stderr']) / 1024:,.0f}"
    return f"{found['seconds']:.1f} | {memory} | {found['size'] / 1e6:,.1f} | {found['logged'] / 1e6:,.1f} | {told}"


def main() -> None:
    """Measure everything and print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=800, help="trivial cells, against papermill")
    parser.add_argument("--many", type=int, default=2_000, help="trivial cells, against bare nbclient")
    parser.add_argument("--megabytes", type=int, default=100, help="what one cell prints, in lines of 100 characters")
    parser.add_argument("--lines", type=int, default=20_000, help="lines that one cell prints, each flushed")
    parser.add_argument("--repeats", type=int, default=5, help="of what is short")
    parser.add_argument("--limit", type=float, default=300, help="seconds after which papermill is stopped")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few = write_notebook(folder / "cells.ipynb", *trivial(options.cells))
        before = taking_turns({"trey": TREY}, few, folder, options.repeats // 2 + 1)["trey"]
        slow = measure(PAPERMILL, few, folder / "papermill.ipynb", options.limit)
        trey = median(before + taking_turns({"trey": TREY}, few, folder, options.repeats // 2)["trey"], "seconds")
        many = write_notebook(folder / "many.ipynb", *trivial(options.many))
        beside = taking_turns({"trey": TREY, "nbclient": NBCLIENT}, many, folder, options.repeats)
        outside = [overhead(folder / "project") for _ in range(options.repeats)]

        sources = {
            f"{options.megabytes} MB": f"for _ in range({options.megabytes * 10_000}):\n    print('x' * 99)",
            f"{options.lines:,} flushed prints": f"for n in range({options.lines}):\n    print(n, flush=True)",
        }
        expected = [options.megabytes * 1_000_000, sum(len(f"{n}\n") for n in range(options.lines))]
        floods = []
        for number, ((what, code), size) in enumerate(zip(sources.items(), expected, strict=True)):
            source = write_notebook(folder / f"flood-{number}.ipynb", code, PEAK)
            for program, who in ((TREY, "trey"), (PAPERMILL, "papermill")):
                found = measure(program, source, folder / f"{who}-{number}.ipynb", options.limit)
                floods.append(f"| {what} | {who} | {flooded(found, options.limit, size)} |")

    cost = {part: statistics.median(one[part] for one in outside) / len(PHASES) for part in outside[0]}
    took = slow["seconds"] if slow else options.limit
    by_clock, by_processor = ratio(beside, "seconds"), ratio(beside, "processor")
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, medians of {options.repeats}, papermill once")
    spread = [f"{mine['seconds'] / bare['seconds']:.2f}" for mine, bare in zip(*beside.values(), strict=True)]
    print(f"Turns beside nbclient: {', '.join(spread)}\n")
    print("| what | trey | beside it | aim | seen | met |\n|---|---|---|---|---|---|")
    print(
        f"| {options.cells:,} trivial cells | {trey:.1f} s | papermill: {'' if slow else 'over '}{took:.0f} s | "
        f"20 times faster | {took / trey:.0f} times{'' if slow else ' or more'} | {verdict(took / trey >= 20)} |"
    )
    print(
        f"| {options.many:,} trivial cells | {median(beside['trey'], 'seconds'):.1f} s | "
        f"bare nbclient: {median(beside['nbclient'], 'seconds'):.1f} s | within 1.1 times | "
        f"{by_clock:.2f} times ({by_processor:.2f} of the processor's time) | {verdict(by_clock <= 1.1)} |"
    )
    print(
        f"| `trey run`, outside the cells, per phase | {cost['outside']:.2f} s | | "
        f"under 1.5 s | {cost['outside']:.2f} s | {verdict(cost['outside'] < 1.5)} |"
    )
    named = ", ".join(f"{part} {cost[part]:.2f}" for part in PARTS)
    print(f"\nOf the seconds outside the cells, per phase of {len(PHASES)}: {named}.\n")
    print("| one cell prints | with | seconds | MiB at most | MiB, its kernel | notebook, MB | log, MB | arrived |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(floods))


if __name__ == "__main__":
    main()
