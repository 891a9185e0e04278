"""How fast the service answers beside other ways to serve the same model, and what each of them needs.

Example:
    python -m benchmarks.serving --model runs/…/evaluate/model                        # about ten minutes, prints tables
    python -m benchmarks.serving --model … --turns 1 --seconds 1 --only ours FastAPI  # a quick look

Each way runs in an environment of its own, made at first use in --environments (package index needed). In each turn the
ways are started one after another, each turn beginning with another one: start to first answer, requests by `wrk`
(Debian: apt install wrk), memory. Server and client have a core each. All score the same texts; their probabilities are
compared before anything is measured. Machines are shared and noisy: read the ratios, taken within a turn. Linux only.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import psutil
from onnx import TensorProto, helper, numpy_helper

from benchmarks.onnx import figure, sheet
from compliance.generate import connected_car
from compliance.scorer import Scorer

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "benchmarks" / "servers" / "rotate.lua"
ROWS, SEED = 20_000, 7
CELLS = [(1, 1), (1, 16), (1, 64), (32, 1), (32, 16), (1_000, 1)]  # texts of a request, connections
BODIES = {1: 1_000, 32: 200, 1_000: 20}  # different bodies of each size
BASE = "FastAPI"
LIMIT = "bare session"
PARITY = 1e-5
MEGABYTE = 1_000_000
SERVER_CORE, CLIENT_CORE = "0", "1"


@dataclass(frozen=True)
class Way:
    """A way to serve.

    Attributes:
        packages: What its environment has.
        command: Gives the command from the folder of programs of its environment, the benchmark's folder and a port.
        path: What is asked.
        wrap: Makes the body of a request from texts.
        read: Finds the results, each with a probability, in an answer.
        prepare: A module that writes what it needs into the folder, run in its environment.
    """

    packages: tuple[str, ...]
    command: Callable[[Path, Path, int], list[str]]
    path: str = "/score"
    wrap: Callable[[list[str]], Any] = field(default=lambda texts: texts)
    read: Callable[[Any], list[dict[str, Any]]] = field(default=lambda answer: answer)
    prepare: str = ""


def of_the_service() -> tuple[str, ...]:
    """Give the packages of the extra `serve`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return tuple(project["optional-dependencies"]["serve"])


WAYS = {
    "ours": Way(
        of_the_service(),
        lambda bin, folder, port: [f"{bin}/python", "-m", "service", f"--model={folder / 'model'}", f"--port={port}"],
        read=lambda answer: answer["results"],
    ),
    BASE: Way(
        ("fastapi", "uvicorn[standard]", "numpy", "onnxruntime"),
        lambda bin, folder, port: [
            *(f"{bin}/uvicorn", "benchmarks.servers.fastapi_app:app", f"--port={port}"),
            *("--no-access-log", "--log-level=warning"),
        ],
    ),
    "the lab's": Way(
        ("flask", "gunicorn", "numpy", "onnxruntime"),
        lambda bin, folder, port: [
            *(f"{bin}/gunicorn", "benchmarks.servers.lab_flask:app", f"--bind=127.0.0.1:{port}"),
            *("--worker-class=gthread", "--threads=4", "--keep-alive=60", "--log-level=warning"),
        ],
    ),
    "azureml-inference-server-http": Way(
        ("azureml-inference-server-http", "numpy", "onnxruntime"),
        lambda bin, folder, port: [
            *(f"{bin}/azmlinfsrv", f"--port={port}"),
            f"--entry_script={ROOT / 'benchmarks' / 'servers' / 'azureml_score.py'}",
        ],
    ),
    "mlflow models serve": Way(
        ("mlflow", "numpy", "onnxruntime"),
        lambda bin, folder, port: [
            *(f"{bin}/mlflow", "models", "serve", f"--model-uri={folder / 'mlflow'}", f"--port={port}"),
            *("--env-manager=local", "--workers=1"),
        ],
        path="/invocations",
        wrap=lambda texts: {"inputs": texts},
        read=lambda answer: answer["predictions"],
        prepare="benchmarks.servers.mlflow_model",
    ),
}


def write_folder(folder: Path, model_dir: Path, texts: list[str]) -> None:
    """Write what the ways read: the model folder, the exported file, the network without its text front, bodies."""
    (folder / "model").symlink_to(model_dir.resolve())
    (folder / "model.onnx").write_bytes((model_dir / "model.onnx").read_bytes())
    network, front = without_front(onnx.load(model_dir / "model.onnx"))
    onnx.save(network, folder / "network.onnx")
    (folder / "front.json").write_text(json.dumps(front), encoding="utf-8")
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")


def without_front(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Give the network alone, which takes numbers, and what turns words into numbers."""
    nodes = list(model.graph.node)
    behind = next(place for place, node in enumerate(nodes) if "numbers" in node.output) + 1
    known = next(node for node in nodes[:behind] if node.op_type == "LabelEncoder")
    held = {attribute.name: helper.get_attribute_value(attribute) for attribute in known.attribute}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    tokens = int(constants["last"][0])
    needed = {name for node in nodes[behind:] for name in node.input}
    graph = helper.make_graph(
        nodes[behind:],
        "network",
        [helper.make_tensor_value_info("numbers", TensorProto.INT32, ["N", tokens])],
        list(model.graph.output),
        [tensor for tensor in model.graph.initializer if tensor.name in needed],
    )
    words = (word.decode() for word in held["keys_strings"])
    numbers = dict(zip(words, map(int, held["values_int64s"]), strict=True))
    network = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    return network, {"numbers": numbers, "tokens": tokens, "unknown": int(held["default_int64"])}


def write_bodies(folder: Path, way: Way, texts: list[str]) -> dict[int, Path]:
    """Write the bodies of requests, one a line, for each number of texts."""
    random = np.random.default_rng(SEED)
    files = {}
    for size, count in BODIES.items():
        files[size] = folder / f"bodies-{size}{way.path.replace('/', '-')}"
        bodies = (
            json.dumps(way.wrap([texts[at] for at in random.integers(0, len(texts), size)])) for _ in range(count)
        )
        files[size].write_text("\n".join(bodies), encoding="utf-8")
    return files


def make_environment(place: Path, packages: tuple[str, ...]) -> Path:
    """Make an environment where there is none, and give its folder of programs."""
    uv = [sys.executable, "-m", "uv"]
    if not (place / "made").exists():
        print(f"making {place}", file=sys.stderr)
        subprocess.run([*uv, "venv", "--quiet", "--clear", str(place)], check=True)
        install = [*uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(place / "bin" / "python")]
        subprocess.run([*install, *packages], check=True)
        (place / "made").touch()
    return place / "bin"


def installed(environment: Path) -> int:
    """Give the bytes of an environment's packages, without bytecode."""
    files = (path for path in environment.glob("lib/*/site-packages/**/*") if path.suffix != ".pyc")
    return sum(path.stat().st_size for path in files if path.is_file())


def surroundings(folder: Path, threshold: float) -> dict[str, str]:
    """Give the environment variables of a process that is measured. A service that can collect answers does so."""
    dropped = ("PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    own = {"BENCHMARK_FOLDER": str(folder), "BENCHMARK_THRESHOLD": str(threshold), "PYTHONPATH": str(ROOT)}
    return kept | own | {"SCORING_COLLECT_DIR": str(folder / "collected"), "MLFLOW_DISABLE_TELEMETRY": "true"}


@contextlib.contextmanager
def running(way: Way, bin: Path, folder: Path, threshold: float) -> Iterator[tuple[str, float, psutil.Process]]:
    """Run a server; give its address, its seconds from the start to the first answer, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}{way.path}"
    with (folder / "server.log").open("w+", encoding="utf-8") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *way.command(bin, folder, port)],
            cwd=folder,
            env=surroundings(folder, threshold) | {"PATH": f"{bin}:{os.environ['PATH']}"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            first_answer(process, url, way, log)
            yield url, time.perf_counter() - began, psutil.Process(process.pid)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(15)


def first_answer(process: subprocess.Popen, url: str, way: Way, log: Any) -> None:
    """Ask until there is an answer."""
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.post(url, json=way.wrap(["steel"]), trust_env=False).status_code == 200:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            raise SystemExit(f"no answer from {url}:\n{log.read()[-3_000:]}")
        time.sleep(0.01)


def memory(process: psutil.Process) -> float:
    """Give the proportional set size of a process and those it started, in MB."""
    processes = [process, *process.children(recursive=True)]
    return sum(one.memory_full_info().pss for one in processes) / MEGABYTE


def load(url: str, bodies: Path, connections: int, seconds: float) -> subprocess.Popen:
    """Start to ask."""
    command = ["taskset", "-c", CLIENT_CORE, "wrk", "--threads=1", f"--connections={connections}"]
    command += [f"--duration={max(1, round(seconds))}s", "--timeout=20s", f"--script={SCRIPT}", url, "--", str(bodies)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def told(client: subprocess.Popen) -> dict[str, float]:
    """Give what a client measured."""
    said = client.communicate()[0]
    found: dict[str, float] = json.loads(said.strip().splitlines()[-1])
    assert not found["failed"], said
    return found | {"rate": found["requests"] / found["seconds"]}


def check_parity(url: str, way: Way, texts: list[str], expected: np.ndarray) -> None:
    """Check that a server gives what the scorer gives."""
    answer = httpx.post(url, json=way.wrap(texts), trust_env=False, timeout=30)
    found = np.array([result["probability"] for result in way.read(answer.json())])
    assert np.abs(found - expected).max() < PARITY, url


def measure(url: str, bodies: dict[int, Path], seconds: float) -> dict[str, dict[str, float]]:
    """Measure every kind of load, then single texts beside a stream of large requests."""
    told(load(url, bodies[1], 1, 1))  # what is done on first use is not measured
    found = {
        f"{size}@{connections}": told(load(url, bodies[size], connections, seconds)) for size, connections in CELLS
    }
    stream = load(url, bodies[1_000], 1, seconds + 1)
    time.sleep(0.5)
    found["beside"] = told(load(url, bodies[1], 1, seconds))
    told(stream)
    return found


def of_the_limit(bin: Path, folder: Path, seconds: float) -> dict[str, Any]:
    """Measure the session in a loop."""
    command = [
        "taskset",
        "-c",
        SERVER_CORE,
        f"{bin}/python",
        "-m",
        "benchmarks.servers.bare",
        str(folder),
        str(seconds),
    ]
    done = subprocess.run(command, env=surroundings(folder, 0.5), capture_output=True, text=True, check=True)
    calls = json.loads(done.stdout.splitlines()[-1])
    return {
        f"{size}@1": {
            "rate": 1_000 * len(took) / sum(took),
            "p50": statistics.median(took),
            "p99": float(np.quantile(took, 0.99)),
        }
        for size, took in calls.items()
    }


def in_turns(
    names: list[str], bins: dict[str, Path], folder: Path, options: argparse.Namespace
) -> dict[str, list[dict[str, Any]]]:
    """Measure every way once in each turn."""
    scorer = Scorer.load(folder / "model")
    texts = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    expected = scorer.score(texts[:500])
    bodies = {name: write_bodies(folder, WAYS[name], texts) for name in names}
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in [*names, LIMIT]}
    for turn in range(options.turns):
        first = turn % len(names)
        measured[LIMIT].append(of_the_limit(bins[names[0]], folder, options.seconds))
        for name in names[first:] + names[:first]:
            way = WAYS[name]
            print(f"turn {turn + 1}: {name}", file=sys.stderr)
            with running(way, bins[name], folder, scorer.threshold) as (url, start, process):
                check_parity(url, way, texts[:500], expected)
                fresh = memory(process)
                found = measure(url, bodies[name], options.seconds)
                measured[name].append(found | {"start": start, "fresh": fresh, "memory": memory(process)})
    return measured


def middle(turns: list[dict[str, Any]], cell: str, what: str = "rate") -> float:
    """Give the median over the turns."""
    return statistics.median(turn[cell][what] for turn in turns)


def ratio(measured: dict[str, list[dict[str, Any]]], name: str, base: str, cell: str) -> str:
    """Say how many times the requests a second of another way one has: the median of the turns, and their range."""
    if name == base or cell not in measured[base][0] or cell not in measured[name][0]:
        return "1" if name == base else "–"
    pairs = zip(measured[name], measured[base], strict=True)
    ratios = sorted(own[cell]["rate"] / other[cell]["rate"] for own, other in pairs if other[cell]["rate"])
    if not ratios:
        return "–"
    return f"{figure(statistics.median(ratios))} ({figure(ratios[0])} to {figure(ratios[-1])})"


def tables(measured: dict[str, list[dict[str, Any]]], sizes: dict[str, int], base: str) -> str:
    """Write what was measured as Markdown."""
    cells = [f"{size}@{connections}" for size, connections in CELLS]
    head = [f"{size:,} text{'s' * (size > 1)}, {connections} conn" for size, connections in CELLS]
    rates, beside, times = [["requests a second", *head]], [[f"times {base}", *head]], [["p50 / p99, ms", *head]]
    times[0] += ["1 text beside 1,000-text requests"]
    needs = [["way", "start to first answer, s", "PSS fresh, MB", "PSS after load, MB", "packages, MB"]]
    for name, turns in measured.items():
        there = [cell for cell in cells if cell in turns[0]]
        by_cell = {cell: figure(middle(turns, cell)) for cell in there}
        rates.append([name, *(by_cell.get(cell, "–") for cell in cells)])
        beside.append([name, *(ratio(measured, name, base, cell) for cell in cells)])
        both = {
            cell: f"{figure(middle(turns, cell, 'p50'))} / {figure(middle(turns, cell, 'p99'))}"
            for cell in [*cells, "beside"]
            if cell in turns[0]
        }
        times.append([name, *(both.get(cell, "–") for cell in [*cells, "beside"])])
        if name in sizes:
            own = [statistics.median(turn[what] for turn in turns) for what in ("start", "fresh", "memory")]
            needs.append([name, *map(figure, own), figure(sizes[name] / MEGABYTE)])
    return "\n".join(sheet(*table) for table in (rates, beside, times, needs))


def main() -> None:
    """Make the environments, measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="model folder, as a run's evaluate phase writes it")
    parser.add_argument("--turns", type=int, default=3, help="fresh processes of each way")
    parser.add_argument("--seconds", type=float, default=3, help="for each kind of load, in each turn")
    parser.add_argument("--only", nargs="+", choices=list(WAYS), default=list(WAYS), help="ways to measure")
    parser.add_argument("--environments", type=Path, help="folder to keep environments in; a temporary one by default")
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    options = parser.parse_args()
    texts = sorted(set(connected_car(ROWS, SEED)["text"]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = (options.environments or folder / "environments").resolve()
        write_folder(folder, options.model, texts)
        bins = {way: make_environment(place / slug(way), WAYS[way].packages) for way in options.only}
        for way, bin in bins.items():
            if WAYS[way].prepare:
                command = [f"{bin}/python", "-m", WAYS[way].prepare, str(folder)]
                subprocess.run(command, cwd=ROOT, env=surroundings(folder, 0.5), check=True)
        sizes = {way: installed(place / slug(way)) for way in options.only}
        measured = in_turns(options.only, bins, folder, options)
    if options.json:
        options.json.write_text(json.dumps(measured), encoding="utf-8")
    base = BASE if BASE in measured else options.only[0]
    python = sys.version.split()[0]
    print(
        f"{len(os.sched_getaffinity(0))} cores, Python {python}, turns: {options.turns} of {options.seconds:g} s each\n"
    )
    print(tables(measured, sizes, base), end="")


def slug(name: str) -> str:
    """Give the name of a way as that of a folder."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)


if __name__ == "__main__":
    main()
