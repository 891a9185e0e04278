"""Wall time of the main job, of a run in which nothing changed, and of `trey --help`.

Example:
    python -m benchmarks.lifecycle                  # 100,000 descriptions, as `make run`
    python -m benchmarks.lifecycle --rows 20000

Everything is measured in one run, on a folder that is thrown away. Machines are shared and noisy: read the ratios (the
share outside notebook cells, the no-op run against the full one, `trey --help` against a bare interpreter) first.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TREY = [sys.executable, "-m", "runner"]


def seconds(command: list[str], repeats: int = 1) -> float:
    """Give the median wall time of a command that must succeed; what it says is shown where it runs once."""
    said = None if repeats == 1 else subprocess.DEVNULL
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=said)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def seconds_in_cells(run: Path) -> dict[str, float]:
    """Add up, per phase, what the cells of the executed notebooks took."""
    return {
        notebook.stem: sum(
            cell["metadata"].get("papermill", {}).get("duration") or 0.0
            for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]
            if cell["cell_type"] == "code"
        )
        for notebook in sorted((run / "notebooks").glob("*.ipynb"))
    }


def lifecycle(folder: Path, rows: int) -> list[str]:
    """Give the command of the main job, with every store inside `folder`."""
    stores = [f"{phase}.registry_store={folder / 'registry'}" for phase in ("evaluate", "register", "deploy")]
    settings = [*stores, f"deploy.endpoint_store={folder / 'endpoints'}", f"prepare.rows={rows}"]
    return [*TREY, "run", "--runs", str(folder / "runs"), *(word for s in settings for word in ("--set", s))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="descriptions to generate")
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = lifecycle(folder, rows)
        full = seconds(command)
        [run] = (folder / "runs").iterdir()
        record = json.loads((run / "run.json").read_text(encoding="utf-8"))
        cells = seconds_in_cells(run)
        unchanged = seconds(command, repeats=5)
    bare = seconds([sys.executable, "-c", "pass"], repeats=9)
    help_page = seconds([*TREY, "--help"], repeats=9)
    papermill_help = seconds([sys.executable, "-m", "papermill", "--help"], repeats=3)

    inside = sum(cells.values())
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {rows:,} descriptions\n")
    print("| what | seconds | ratio |\n|---|---|---|")
    print(f"| main job | {full:.1f} | 1 |")
    print(f"| - inside notebook cells | {inside:.1f} | {inside / full:.2f} of the main job |")
    print(f"| - outside | {full - inside:.1f} | {(full - inside) / full:.2f} of the main job |")
    for phase, entry in record["phases"].items():
        outside = entry["seconds"] - cells[phase]
        print(f"| - {phase} | {entry['seconds']:.1f} | {outside:.1f} s of it outside cells |")
    print(f"| nothing changed | {unchanged:.2f} | {unchanged / full:.3f} of the main job |")
    print(f"| `trey --help` | {help_page:.2f} | {help_page / bare:.1f} times a bare interpreter ({bare:.2f} s) |")
    print(f"| `papermill --help` | {papermill_help:.2f} | {papermill_help / bare:.1f} times a bare interpreter |")


if __name__ == "__main__":
    main()
