"""Lines in a folder: dated, whole, and there when the process is not."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from compliance.window import read
from service.collection_settings import CollectionSettings
from service.settings import BadSettings
from service.sinks import Files, SinkFault, place, process_name, sinks

from ..project import ROOT
from .records import collected


def lines(*numbers: int, length: int = 0) -> list[bytes]:
    return [json.dumps({"n": n, "x": "x" * length}).encode() + b"\n" for n in numbers]


def test_a_file_belongs_to_a_day_and_a_process(tmp_path: Path) -> None:
    names = [process_name(), process_name()]
    assert names[0] != names[1]
    both = [Files(tmp_path, name) for name in names]
    for n, day in enumerate(("2026-03-01", "2026-03-02", "2026-03-01")):
        for sink in both:
            sink.write(day, lines(n))
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*.jsonl")}
    content = {"01": b"".join(lines(0, 2)), "02": b"".join(lines(1))}
    assert found == {f"2026/03/{day}/{name}.jsonl": content[day] for day in content for name in names}
    for sink in both:
        sink.close()


@pytest.mark.parametrize(
    ("model", "environment", "path"),
    [
        ("connected-car", "staging", "connected-car/staging"),
        ("../..", "/etc", "-../-etc"),
        ("", "a b", "unnamed/a-b"),
    ],
)
def test_no_name_leads_out_of_the_folder(model: str, environment: str, path: str) -> None:
    assert place(model, environment) == path


def test_a_folder_that_cannot_be_written_is_a_fault_and_heals(tmp_path: Path) -> None:
    (tmp_path / "2026").write_text("a file where a folder must be", encoding="utf-8")
    sink = Files(tmp_path, "p")
    with pytest.raises(SinkFault, match="2026"):
        sink.write("2026-03-01", lines(1))
    (tmp_path / "2026").unlink()
    sink.write("2026-03-01", lines(1))
    sink.close()
    assert collected(tmp_path) == [{"n": 1, "x": ""}]


def test_lines_that_fit_in_part_are_taken_back_and_written_again(tmp_path: Path) -> None:
    sink = Files(tmp_path, "p", durable=True)
    sink.write("2026-03-01", lines(0, length=100))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # as a disk does that fills up
        with pytest.raises(SinkFault, match="File too large"):
            sink.write("2026-03-01", lines(1, 2, 3, length=4_000))
        assert [line["n"] for line in collected(tmp_path)] == [0]
        sink.write("2026-03-01", lines(4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    sink.write("2026-03-01", lines(1, 2, 3, length=4_000))
    sink.close()
    assert [line["n"] for line in collected(tmp_path)] == [0, 4, 1, 2, 3]


@pytest.mark.parametrize("after", [5, 20, 60])
def test_a_process_that_is_killed_leaves_all_that_it_had_stored(tmp_path: Path, after: int) -> None:
    command = [sys.executable, "-m", "tests.service.kill_collection", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    stored = 0
    for told, line in enumerate(process.stdout):
        stored = int(line.split()[1])
        if told >= after and stored:
            break
    process.kill()
    process.communicate(timeout=30)
    files = sorted(tmp_path.rglob("*.jsonl"))  # two of them at midnight
    whole = [json.loads(line) for file in files for line in file.read_bytes().split(b"\n")[:-1]]
    assert [(line["correlation_id"], line["item"]) for line in whole] == [
        (f"r-{n // 3}", n % 3) for n in range(len(whole))
    ]
    assert len(whole) >= 3 * stored > 0
    assert read(tmp_path).rows == len(whole)


def test_half_a_line_at_the_end_is_refused_by_readers_and_costs_no_other(tmp_path: Path) -> None:
    answer = {"text": "iron", "label": "non-compliant", "probability": 0.9, "time": "2026-03-01T10:00:00.000Z"}
    for name, end in (("a", b'{"text": "st'), ("b", b"")):
        sink = Files(tmp_path, name)
        sink.write("2026-03-01", [json.dumps(answer).encode() + b"\n"] * 3)
        sink.close()
        with (tmp_path / "2026" / "03" / "01" / f"{name}.jsonl").open("ab") as file:
            file.write(end)
    assert (read(tmp_path).rows, read(tmp_path).refused) == (6, 1)


def test_a_missing_package_is_told_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.storage.blob", None)
    monkeypatch.delitem(sys.modules, "service.sink_blob", raising=False)
    with pytest.raises(BadSettings, match=r"pip install 'trey\[collect-azure\]'"):
        sinks(CollectionSettings(blob_url="https://trey.blob.core.windows.net/collected"), "parts/staging")
    monkeypatch.setitem(sys.modules, "azureml.ai.monitoring", None)
    monkeypatch.delitem(sys.modules, "service.sink_azureml", raising=False)
    with pytest.raises(BadSettings, match=r"pip install 'trey\[collect-azureml\]'"):
        sinks(CollectionSettings(azureml="scoring"), "parts/staging")


def test_importing_the_service_imports_no_azure() -> None:
    check = "import sys, service.collection, service.feedback, service.telemetry\n"
    check += "print({'azure', 'pandas', 'opentelemetry'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "set()\n"
