"""Twenty clean seeds: a sound model passes every gate. Writes a table into docs/GATES.md.

Example:
    python -m benchmarks.clean_seeds               # twenty runs, some ten minutes
    python -m benchmarks.clean_seeds --seeds 3     # fewer; prints and writes nothing

Each is a `trey run` of its own, with data, splits and weights of its seed, up to the gates of register.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.pages import write_measured
from tests.project import ROOT, copy_project

PAGE = ROOT / "docs" / "GATES.md"
MARKS = "<!-- seeds: python -m benchmarks.clean_seeds -->\n", "<!-- /seeds -->\n"
FIRST = 101  # no choice was made on these
SEEDS = 20
PARAMS = "params/ci.yaml"
SHOWN = ("accuracy_low", "missed_rate_high", "slice_accuracy_low", "calibration_error_high", "behaviour_failed_high")
STOPPING = ("fail", "inconclusive")


def run(seed: int) -> tuple[str, list[str], dict[str, float]]:
    """Run the lifecycle with a seed; give its verdict, what stopped it, and what its gates looked at."""
    with tempfile.TemporaryDirectory(prefix="trey-seed-") as place:
        project = copy_project(Path(place))
        project.trey("run", "--params", PARAMS, "--set", f"all.seed={seed}", "--to", "register")
        record = project.last()
    stopped = [gate["scrap"] for gate in record["gates"] if gate["verdict"] in STOPPING]
    scraps = record["phases"]["evaluate"]["scraps"]
    return record["status"], stopped, {name: scraps[name]["value"] for name in SHOWN}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seeds", type=int, default=SEEDS, help="how many (default: %(default)s, which writes the page)"
    )
    asked = parser.parse_args()
    lines = [f"| seed | stopped by | {' | '.join(SHOWN)} |", "|---" * (2 + len(SHOWN)) + "|"]
    passed = 0
    for seed in range(FIRST, FIRST + asked.seeds):
        status, stopped, values = run(seed)
        passed += not stopped and status == "succeeded"
        shown = " | ".join(f"{value:.4f}" for value in values.values())
        lines.append(f"| {seed} | {', '.join(stopped) or 'nothing'} | {shown} |")
        print(lines[-1], flush=True)
    told = f"{passed} of {asked.seeds} passed every gate.\n\n"
    print(told)
    if asked.seeds == SEEDS:
        write_measured(PAGE, *MARKS, told + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
