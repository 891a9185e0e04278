"""Short runs at the same time, each in a folder of its own: none may hang, mix with others or leave anything behind.

Example:
    python -m benchmarks.concurrency                          # 40 runs at once, five times; 5 GiB of memory
    python -m benchmarks.concurrency --runs 8 --repeats 1     # a quick look

A run is a process `python -m runner run` of a notebook that prints, glues and writes its own mark. A file that holds
the mark of another run counts as mixed; a socket, temporary file or process that is still there as left behind.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from tests.end_to_end import crowd


def main() -> None:
    """Run the crowd as often as asked and print a table in Markdown; end with 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40, help="at the same time")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--limit", type=float, default=300, help="seconds after which a run counts as hung")
    options = parser.parse_args()
    outcomes = []
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as folder:
            outcomes.append(crowd.at_once(crowd.separate(Path(folder), options.runs), options.limit))
        print("\n".join(outcomes[-1].faults) or f"{outcomes[-1].seconds:.1f} s", file=sys.stderr)

    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {options.runs} runs at once\n")
    print("| time | all ended, seconds | median run | slowest run | hung | failed | mixed | left behind |")
    print("|---|---|---|---|---|---|---|---|")
    for number, one in enumerate(outcomes, start=1):
        each = one.each or [0.0]
        counts = " | ".join(str(len(kind)) for kind in (one.hung, one.failed, one.mixed, one.left))
        print(f"| {number} | {one.seconds:.1f} | {statistics.median(each):.1f} | {max(each):.1f} | {counts} |")
    sys.exit(1 if any(one.faults for one in outcomes) else 0)


if __name__ == "__main__":
    main()
