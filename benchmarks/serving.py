"""How fast the service answers beside other ways to serve the same model, and what each of them needs.

Example:
    python -m benchmarks.serving --model runs/…/evaluate/model                # 20 minutes; writes docs/SERVING.md
    python -m benchmarks.serving --model … --turns 1 --dry --only ours FastAPI  # a quick look

Each way runs in an environment of its own, made at first use in --environments (package index needed). In each turn the
ways are started one after another, each turn beginning with another one: start to first answer, requests by `wrk`
(Debian: apt install wrk), memory. Server and client have a core each. All score the same texts; their probabilities are
compared before anything is measured. Ours does all that it does in production: it checks, counts, collects every answer
into a folder, and sends traces of the default share and metrics to a receiver on the client's core. Machines are shared
and noisy: read the ratios, taken within a turn. Linux only.
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

from benchmarks.pages import figure, machine, sheet, write_measured
from compliance.generate import connected_car
from compliance.scorer import Scorer

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "benchmarks" / "servers" / "rotate.lua"
ROWS, SEED = 20_000, 7
CELLS = [(1, 1), (1, 16), (1, 64), (32, 1), (32, 16), (1_000, 1)]  # texts of a request, connections
BODIES = {1: 1_000, 32: 200, 1_000: 20}  # different bodies of each size
OURS, BASE, PLAIN = "ours", "FastAPI", "FastAPI on plain uvicorn"
AZURE = "ours with Azure's exporters"  # is installed, to be weighed
LIMIT = "bare session"
PARITY = 1e-5
AIMS = [
    ("1@1", BASE, 1.4),
    ("1@1", PLAIN, 1.4),
    ("1@1", "azureml-inference-server-http", 3),
    ("1@64", BASE, 4),
    ("1@64", PLAIN, 4),
]
PAGE = ROOT / "docs" / "SERVING.md"
BEGIN, END = "<!-- measured: python -m benchmarks.serving -->\n", "<!-- /measured -->\n"
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


def of_extras(*names: str) -> tuple[str, ...]:
    """Give the packages of extras of the project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    return tuple(package for name in names for package in extras[name] if not package.startswith("trey["))


def keras_packages() -> tuple[str, ...]:
    """Give TensorFlow and Keras as the project trains with them."""
    return tuple(name for name in of_extras("train", "data") if name.startswith(("tensorflow", "keras")))


def on_uvicorn(app: str) -> Callable[[Path, Path, int], list[str]]:
    """Give what serves an ASGI application with uvicorn."""
    return lambda bin, folder, port: [
        *(f"{bin}/uvicorn", f"benchmarks.servers.{app}:app", f"--port={port}"),
        *("--no-access-log", "--log-level=warning"),
    ]


def of_mlserver(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the results of MLServer's answer."""
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    return [{"probability": probability} for probability in outputs["probability"]]


WAYS = {
    OURS: Way(
        of_extras("serve", "telemetry"),
        lambda bin, folder, port: [f"{bin}/python", "-m", "service", f"--model={folder / 'model'}", f"--port={port}"],
        read=lambda answer: answer["results"],
    ),
    BASE: Way(
        ("fastapi", "uvicorn[standard]", "numpy", "onnxruntime"),
        on_uvicorn("fastapi_app"),
    ),
    PLAIN: Way(("fastapi", "uvicorn", "numpy", "onnxruntime"), on_uvicorn("fastapi_app")),
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
    "MLServer": Way(
        ("mlserver", "numpy", "onnxruntime"),
        lambda bin, folder, port: [
            *("env", f"MLSERVER_HTTP_PORT={port}", f"{bin}/mlserver", "start", f"{folder / 'mlserver'}")
        ],
        path="/v2/models/parts/infer",
        wrap=lambda texts: {
            "inputs": [{"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": texts}],
        },
        read=of_mlserver,
        prepare="benchmarks.servers.mlserver_runtime",
    ),
    "BentoML": Way(
        ("bentoml", "numpy", "onnxruntime"),
        lambda bin, folder, port: [
            *(f"{bin}/bentoml", "serve", "benchmarks.servers.bentoml_service:Parts"),
            *(f"--working-dir={ROOT}", "--host=127.0.0.1", f"--port={port}"),
        ],
        wrap=lambda texts: {"texts": texts},
    ),
    "Keras behind FastAPI": Way(
        ("fastapi", "uvicorn[standard]", "numpy", *keras_packages()),
        on_uvicorn("keras_app"),
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


def write_bodies(folder: Path, name: str, texts: list[str]) -> dict[int, Path]:
    """Write the bodies of requests to a way, one a line, for each number of texts."""
    way = WAYS[name]
    random = np.random.default_rng(SEED)
    files = {}
    for size, count in BODIES.items():
        files[size] = folder / f"bodies-{size}-{slug(name)}"
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
        done([*uv, "venv", "--quiet", "--clear", str(place)])
        install = [*uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(place / "bin" / "python")]
        done([*install, *packages])
        (place / "made").touch()
    return place / "bin"


def installed(environment: Path) -> int:
    """Give the bytes of an environment's packages, without bytecode."""
    files = (path for path in environment.glob("lib/*/site-packages/**/*") if path.suffix != ".pyc")
    return sum(path.stat().st_size for path in files if path.is_file())


class NotMeasured(Exception):
    """A way cannot be installed, or does not answer; the message is the gist of why."""


def prepared(names: list[str], place: Path, folder: Path) -> tuple[dict[str, Path], dict[str, int], dict[str, str]]:
    """Make the environment of each way and what it needs; give programs and sizes, and why a way is missing."""
    bins, sizes, missing = {}, {}, {}
    for name in names:
        try:
            bins[name] = make_environment(place / slug(name), WAYS[name].packages)
            if WAYS[name].prepare:
                command = [f"{bins[name]}/python", "-m", WAYS[name].prepare, str(folder)]
                done(command, cwd=ROOT, env=surroundings(folder, 0.5))
        except NotMeasured as why:
            bins.pop(name, None)
            missing[name] = str(why)
        else:
            sizes[name] = installed(place / slug(name))
    if OURS in sizes:
        make_environment(place / slug(AZURE), of_extras("serve", "telemetry", "telemetry-azure", "collect-azure"))
        sizes[AZURE] = installed(place / slug(AZURE))
    return bins, sizes, missing


def done(command: list[str], **options: Any) -> None:
    """Run a command.

    Raises:
        NotMeasured: It fails.
    """
    ended = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if ended.returncode:
        raise NotMeasured(gist(ended.stderr))


def gist(log: str) -> str:
    """Give the last line that says something."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no word"


@contextlib.contextmanager
def receiving(bin: Path) -> Iterator[str]:
    """Run what takes traces and metrics; give its address."""
    command = ["taskset", "-c", CLIENT_CORE, f"{bin}/python", "-m", "benchmarks.servers.receiver"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def surroundings(folder: Path, threshold: float, receiver: str = "") -> dict[str, str]:
    """Give the environment variables of a process that is measured.

    Args:
        folder: What the ways read.
        threshold: Probability from which a text is non-compliant.
        receiver: Where a service that can collect answers, and send traces and metrics, sends these; then it does both.
    """
    dropped = ("PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    own = {"BENCHMARK_FOLDER": str(folder), "BENCHMARK_THRESHOLD": str(threshold), "PYTHONPATH": str(ROOT)}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "true", "KERAS_BACKEND": "tensorflow"}
    both = {"SCORING_COLLECT_DIR": str(folder / "collected"), "OTEL_EXPORTER_OTLP_ENDPOINT": receiver}
    return kept | own | quiet | (both if receiver else {})


@contextlib.contextmanager
def running(
    way: Way, bin: Path, folder: Path, environment: dict[str, str]
) -> Iterator[tuple[str, float, psutil.Process]]:
    """Run a server; give its address, its seconds from the start to the first answer, and its process.

    Raises:
        NotMeasured: It does not answer.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}{way.path}"
    with (folder / "server.log").open("w+", encoding="utf-8") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *way.command(bin, folder, port)],
            cwd=folder,
            env=environment | {"PATH": f"{bin}:{os.environ['PATH']}"},
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
            raise NotMeasured(f"no answer from {url}: {gist(log.read())}")
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


def processor(process: psutil.Process) -> float:
    """Give the seconds of processors that a process and those it started have used."""
    times = (one.cpu_times() for one in [process, *process.children(recursive=True)])
    return sum(used.user + used.system for used in times)


def measure(url: str, bodies: dict[int, Path], seconds: float, process: psutil.Process) -> dict[str, dict[str, float]]:
    """Measure every kind of load, then single texts beside a stream of large requests.

    A kind of which nothing was answered in time is left out.
    """
    told(load(url, bodies[1], 1, 1))  # what is done on first use is not measured
    found = {}
    for size, connections in CELLS:
        before = processor(process)
        cell = told(load(url, bodies[size], connections, seconds))
        if cell["requests"]:
            own = {"processor": 1e6 * (processor(process) - before) / cell["requests"]}
            found[f"{size}@{connections}"] = cell | own
    stream = load(url, bodies[1_000], 1, seconds + 1)
    time.sleep(0.5)
    beside = told(load(url, bodies[1], 1, seconds))
    if beside["requests"]:
        found["beside"] = beside
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
    bins: dict[str, Path], folder: Path, options: argparse.Namespace, receiver: str, missing: dict[str, str]
) -> dict[str, list[dict[str, Any]]]:
    """Measure every way once in each turn; a way that does not answer is left out, and why is noted as missing."""
    names = list(bins)
    scorer = Scorer.load(folder / "model")
    texts = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    expected = scorer.score(texts[:500])
    bodies = {name: write_bodies(folder, name, texts) for name in names}
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in [*names, LIMIT]}
    for turn in range(options.turns):
        first = turn % len(names)
        measured[LIMIT].append(of_the_limit(bins[names[0]], folder, options.seconds))
        for name in names[first:] + names[:first]:
            if name in missing:
                continue
            way = WAYS[name]
            print(f"turn {turn + 1}: {name}", file=sys.stderr)
            environment = surroundings(folder, scorer.threshold, receiver if name == OURS else "")
            try:
                with running(way, bins[name], folder, environment) as (url, start, process):
                    check_parity(url, way, texts[:500], expected)
                    fresh = memory(process)
                    found = measure(url, bodies[name], options.seconds, process)
                    measured[name].append(found | {"start": start, "fresh": fresh, "memory": memory(process)})
            except NotMeasured as why:
                missing[name] = str(why)
    return {name: turns for name, turns in measured.items() if name not in missing}


def middle(turns: list[dict[str, Any]], cell: str, what: str = "rate") -> float:
    """Give the median over the turns."""
    return statistics.median(turn[cell][what] for turn in turns)


def ratios(
    measured: dict[str, list[dict[str, Any]]], name: str, base: str, cell: str, what: str = "rate"
) -> list[float]:
    """Give how many times the figure of another way one has, in each turn; nothing where one has none."""
    pairs = [pair for pair in zip(measured[name], measured[base], strict=True) if all(cell in turn for turn in pair)]
    return [own[cell][what] / other[cell][what] for own, other in pairs if what in own[cell] and what in other[cell]]


def spread(values: list[float]) -> str:
    """Write the median and the range of some values."""
    if not values:
        return "–"
    return f"{figure(statistics.median(values))} ({figure(min(values))} to {figure(max(values))})"


def tables(measured: dict[str, list[dict[str, Any]]], sizes: dict[str, int], base: str) -> str:
    """Write what was measured as Markdown.

    Other work on the machine takes turns with a server and its client; what the server's own work took of the
    processor is disturbed less than what the clock says.
    """
    cells = [f"{size}@{connections}" for size, connections in CELLS]
    head = [f"{size:,} text{'s' * (size > 1)}, {connections} conn" for size, connections in CELLS]
    rates, beside, times = [["requests a second", *head]], [[f"times {base}", *head]], [["p50 / p99, ms", *head]]
    work = [[f"processor time of a request, times {base}'s (that in µs)", *head]]
    times[0] += ["1 text beside 1,000-text requests"]
    needs = [["way", "start to first answer, s", "PSS fresh, MB", "PSS after load, MB", "packages, MB"]]
    for name, turns in measured.items():
        there = [cell for cell in cells if all(cell in turn for turn in turns)]
        by_cell = {cell: figure(middle(turns, cell)) for cell in there}
        rates.append([name, *(by_cell.get(cell, "–") for cell in cells)])
        found = [spread(ratios(measured, name, base, cell)) for cell in cells]
        beside.append([name, *("1" if name == base else ratio for ratio in found)])
        if name != LIMIT:
            used = {cell: ratios(measured, name, base, cell, "processor") for cell in there}
            own = {cell: f"{figure(middle(turns, cell, 'processor'))}" for cell in there}
            shown = own if name == base else {cell: spread(values) for cell, values in used.items()}
            work.append([name, *(shown.get(cell, "–") for cell in cells)])
        both = {
            cell: f"{figure(middle(turns, cell, 'p50'))} / {figure(middle(turns, cell, 'p99'))}"
            for cell in [*cells, "beside"]
            if all(cell in turn for turn in turns)
        }
        times.append([name, *(both.get(cell, "–") for cell in [*cells, "beside"])])
        if name in sizes:
            own = [statistics.median(turn[what] for turn in turns) for what in ("start", "fresh", "memory")]
            needs.append([name, *map(figure, own), figure(sizes[name] / MEGABYTE)])
    return "\n".join(sheet(*table) for table in (beside, rates, work, times, needs))


def aims(measured: dict[str, list[dict[str, Any]]], sizes: dict[str, int]) -> str:
    """Hold what was measured beside what is aimed at, where the ways that it takes were measured."""
    rows = [["aim", "seen", "the same by the processor's time", "met"]]
    for cell, base, least in AIMS:
        if base in measured and OURS in measured:
            seen = ratios(measured, OURS, base, cell)
            size, connections = cell.split("@")
            what = f"{size} text, {connections} connection{'s' * (connections != '1')}: {least} times {base}"
            work = ratios(measured, base, OURS, cell, "processor")
            rows.append([what, spread(seen), spread(work), met(statistics.median(seen) >= least)])
    if OURS in measured:
        turns = measured[OURS]
        slower = [1 / ratio for ratio in ratios(measured, OURS, LIMIT, "1000@1")]
        tail = [turn["beside"]["p99"] for turn in turns if "beside" in turn]
        start, resident = ([turn[what] for turn in turns] for what in ("start", "memory"))
        for what, seen, most in (
            ("1,000 texts: within 1.1 times of the bare session", slower, 1.1),
            ("p99 of single texts beside 1,000-text requests under 8 ms", tail, 8),
            ("first answer in under 0.8 s", start, 0.8),
            ("under 130 MB resident", resident, 130),
        ):
            rows.append([what, spread(seen), "–", met(statistics.median(seen) < most)])
        for name, most in ((OURS, 200), (AZURE, 240)):
            size = sizes[name] / MEGABYTE
            rows.append([f"{name}: under {most} MB installed", figure(size), "–", met(size < most)])
    return sheet(*rows)


def met(is_met: bool) -> str:
    """Say whether an aim is met."""
    return "yes" if is_met else "**no**"


def told_how(options: argparse.Namespace, missing: dict[str, str]) -> str:
    """Say on what, how, and what is missing."""
    before, _, after = (figure(load) for load in os.getloadavg())
    lines = [
        f"{machine('onnxruntime', 'uvicorn')}; turns: {options.turns}, with {options.seconds} s for each kind of load; "
        f"load average at the end: {before} (1 minute), {after} (15 minutes). Medians of the turns, and their range."
    ]
    lines += [f"Not measured: {name}: {why}" for name, why in missing.items()]
    return "".join(f"{line}\n" for line in lines)


def main() -> None:
    """Make the environments, measure, print the tables and write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="model folder, as a run's evaluate phase writes it")
    parser.add_argument("--turns", type=int, default=5, help="fresh processes of each way")
    parser.add_argument("--seconds", type=int, default=1, help="for each kind of load, in each turn")
    parser.add_argument("--only", nargs="+", choices=list(WAYS), default=list(WAYS), help="ways to measure")
    parser.add_argument("--environments", type=Path, help="folder to keep environments in; a temporary one by default")
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    parser.add_argument("--dry", action="store_true", help="print the tables, leave the page as it is")
    options = parser.parse_args()
    texts = sorted(set(connected_car(ROWS, SEED)["text"]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = (options.environments or folder / "environments").resolve()
        write_folder(folder, options.model, texts)
        bins, sizes, missing = prepared(options.only, place, folder)
        with receiving(bins[OURS] if OURS in bins else Path(sys.executable).parent) as receiver:
            measured = in_turns(bins, folder, options, receiver, missing)
    if options.json:
        options.json.write_text(json.dumps(measured), encoding="utf-8")
    base = BASE if BASE in measured else next(iter(measured))
    made = f"{told_how(options, missing)}\n{tables(measured, sizes, base)}\n{aims(measured, sizes)}"
    print(made, end="")
    if not options.dry:
        write_measured(PAGE, BEGIN, END, made)


def slug(name: str) -> str:
    """Give the name of a way as that of a folder."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)


if __name__ == "__main__":
    main()
