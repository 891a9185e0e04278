"""Asks a service at a steady rate while its endpoint changes the live model again and again.

Example:
    python -m benchmarks.swaps --seconds 60 --swaps 200 --rate 500

Two small models that decide otherwise stand in an endpoint's slots. Each answer's label is held to the version that the
answer claims. Ends with 1 where a request failed, a label was another version's, or only one version was seen.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fixtures_model import write_model
from tests.service.endpoints import write_state
from tests.service.swapping import swap_under_load

TEXT = "steel component"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--swaps", type=int, default=200)
    parser.add_argument("--rate", type=float, default=500.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_model(folder / "blue")
        write_model(folder / "green", bias=9.0)
        write_state(folder, {"blue": 1, "green": 2}, {"blue": 100})
        port_file = folder / "port"
        command = [sys.executable, "-m", "service", "--endpoint", str(folder), "--port", "0", "--until-stdin-ends"]
        command += ["--port-file", str(port_file)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)  # it tells each swap
        while not port_file.exists():
            assert process.poll() is None
            time.sleep(0.02)
        result = asyncio.run(
            swap_under_load(
                f"http://127.0.0.1:{port_file.read_text()}",
                folder,
                swaps=options.swaps,
                seconds=options.seconds,
                text=TEXT,
                labels={1: "compliant", 2: "non-compliant"},
                rate=options.rate,
            )
        )
        process.terminate()
        process.wait(30)
    asked = sum(result.versions.values())
    print(f"{result.swaps} swaps, {asked:,} requests in {result.seconds:.1f} s: {asked / result.seconds:.0f} a second")
    print(f"answers by version: {dict(sorted(result.versions.items()))}; failures: {len(result.failures)}")
    print("\n".join(result.failures), end="")
    return int(bool(result.failures) or set(result.versions) != {1, 2})


if __name__ == "__main__":
    sys.exit(main())
