"""The registry behind an address: Azure ML's limits, no lock, and a network that fails at the worst moment."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from delivery import external, registry
from delivery.errors import DeliveryError, RegistryError

from ..fixtures_model import MakeModel, digest_of
from .azure_like import Azure, served
from .test_registry import HERE, REGISTER


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    with served(tmp_path_factory.mktemp("mlflow")) as azure:
        yield azure


@pytest.fixture
def azure(server: Azure, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """Give the server with an undisturbed proxy; calls are repeated at once, and three times."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    server.asked.clear()
    server.refused.clear()
    yield server
    server.fault = lambda *_: ""


def register(azure: Azure, model_dir: Path, name: str) -> registry.ModelVersion:
    return registry.register(
        model_dir, name=name, store=azure.store, tags={"source_run": "r1"}, metrics={"accuracy": 0.97},
        evidence=[model_dir / "MODEL_CARD.md"],
    )  # fmt: skip


def numbers(azure: Azure, name: str) -> list[int]:
    return [entry.version for entry in registry.versions_of(name, azure.store)]


def test_all_that_is_done_works_with_what_azure_ml_answers(
    azure: Azure, model_dir: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    other = make_model(bias=1.0)
    first, second = register(azure, model_dir, "whole"), register(azure, other, "whole")
    assert (first.version, second.version, register(azure, model_dir, "whole")) == (1, 2, first)
    assert (first.digest, first.metrics, first.tags["source_run"]) == (digest_of(model_dir), {"accuracy": 0.97}, "r1")
    fetched = registry.fetch("whole", 2, azure.store, tmp_path / "model")
    assert {path.name: path.read_bytes() for path in fetched.iterdir()} == {
        path.name: path.read_bytes() for path in other.iterdir()
    }
    for number in (1, 2, 1):
        assert registry.set_champion("whole", number, "production", azure.store).champion_of == ("production",)
        champion = registry.champion("whole", "production", azure.store)
        assert champion and champion.version == number
    assert [entry.champion_of for entry in registry.versions_of("whole", azure.store)] == [("production",), ()]
    assert ("whole", 2) in [(entry.name, entry.version) for entry in registry.list_versions(azure.store)]
    assert registry.version("whole", 1, azure.store).digest == first.digest
    state = external.registry_state(external.version_uri(azure.store, "whole", 2))
    assert state == second.digest
    # MLflow's own client asks this by itself, and takes the 404 for an older server.
    assert set(azure.refused) <= {"GET /api/3.0/mlflow/server-info"}
    assert {path.split("/")[4] for path in azure.asked if "/api/2.0/mlflow/" in path} == {
        "experiments", "model-versions", "registered-models", "runs"
    }  # fmt: skip


def test_the_proxy_lacks_what_azure_ml_lacks(azure: Azure, model_dir: Path) -> None:
    """So that the test above could fail: what others use is refused here."""
    register(azure, model_dir, "lacking")
    client = MlflowClient(azure.store, azure.store)
    for call in (
        lambda: client.set_registered_model_alias("lacking", "champion", "1"),
        lambda: client.get_model_version_by_alias("lacking", "champion"),
        lambda: client.create_logged_model(experiment_id="0"),
        lambda: client.search_logged_models(["0"]),
        lambda: client.rename_registered_model("lacking", "other"),
        lambda: client.delete_registered_model("lacking"),
    ):
        with pytest.raises(MlflowException, match="404"):
            call()
    assert len(azure.refused) >= 6


def test_registrations_at_once_without_a_lock_agree_on_one_version(
    azure: Azure, model_dir: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    models = [model_dir, make_model(bias=5.0), model_dir]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", REGISTER, str(model), azure.store], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )
        for model in models
    ]  # fmt: skip
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    found = {entry.version: entry.digest for entry in registry.versions_of("parts", azure.store)}
    assert sorted(found.values()) == sorted({digest_of(model) for model in models})
    assert [out.split() for out, _ in said] == [
        [str(number), digest] for model in models for number, digest in found.items() if digest == digest_of(model)
    ]
    for number in found:
        registry.fetch("parts", number, azure.store, tmp_path / str(number))


def test_a_registration_that_comes_second_takes_its_version_back(
    azure: Azure, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forced: another registers the same model between the look whether it exists and the making of a version."""
    create = MlflowClient.create_model_version

    def overtaken(self: MlflowClient, *arguments: object, **named: object) -> object:
        monkeypatch.setattr(MlflowClient, "create_model_version", create)
        register(azure, model_dir, "overtaken")
        return create(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(MlflowClient, "create_model_version", overtaken)
    assert register(azure, model_dir, "overtaken").version == 1
    assert numbers(azure, "overtaken") == [1]


def test_a_registration_killed_anywhere_leaves_no_version_without_its_files(azure: Azure, model_dir: Path) -> None:
    command = [sys.executable, str(HERE / "kill_registration.py"), azure.store, str(model_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    kills, versions_after_a_kill = map(int, done.stdout.split())
    assert kills > 10
    assert 0 < versions_after_a_kill < kills


def test_champions_set_at_once_end_as_one(azure: Azure, model_dir: Path, make_model: MakeModel) -> None:
    for folder in (model_dir, make_model(bias=6.0), make_model(bias=7.0)):
        register(azure, folder, "crowned")
    for _ in range(4):
        setters = [
            Thread(target=registry.set_champion, args=("crowned", number, "staging", azure.store))
            for number in (1, 2, 3)
        ]
        for thread in setters:
            thread.start()
        for thread in setters:
            thread.join()
        client = MlflowClient(azure.store, azure.store)
        marks = [
            entry.version
            for entry in client.search_model_versions("name='crowned'")
            if "champion.staging" in entry.tags
        ]
        found = registry.champion("crowned", "staging", azure.store)
        assert found and [int(number) for number in marks] == [found.version]


def test_a_change_of_champion_that_was_killed_counts_and_is_healed_by_the_next(
    azure: Azure, model_dir: Path, make_model: MakeModel
) -> None:
    for folder in (model_dir, make_model(bias=8.0)):
        register(azure, folder, "killed")
    registry.set_champion("killed", 2, "staging", azure.store)
    client = MlflowClient(azure.store, azure.store)
    late = "2200-01-01T00:00:00.000000Z"  # by a clock far ahead
    client.set_model_version_tag("killed", "1", "champion.staging", late)
    assert [entry.champion_of for entry in registry.versions_of("killed", azure.store)] == [("staging",), ()]
    assert registry.set_champion("killed", 2, "staging", azure.store).champion_of == ("staging",)
    tags = [
        dict(entry.tags) for entry in client.search_model_versions("name='killed'", order_by=["version_number ASC"])
    ]
    assert "champion.staging" not in tags[0]
    assert tags[1]["champion.staging"] > late


CALLS = [
    ("GET", "/experiments/get-by-name"), ("POST", "/runs/create"), ("POST", "/runs/log-batch"),
    ("PUT", "/mlflow-artifacts/artifacts/"), ("GET", "/mlflow-artifacts/artifacts/"), ("POST", "/runs/update"),
    ("POST", "/registered-models/create"), ("POST", "/model-versions/create"), ("GET", "/model-versions/search"),
]  # fmt: skip
FAULTS = ["lost", "unanswered", "truncated"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("method", "path"), CALLS, ids=[path.strip("/").replace("/", ".") for _, path in CALLS])
def test_one_fault_of_the_network_registers_nothing_twice(  # noqa: PLR0913, PLR0917
    azure: Azure, model_dir: Path, fault: str, method: str, path: str, tmp_path: Path
) -> None:
    """It is survived, or told with what to do; then the same call again gives the one version, whole."""
    name = f"fault-{FAULTS.index(fault)}-{CALLS.index((method, path))}"
    hit = azure.fail_once(fault, method, path)
    survived = True
    try:
        register(azure, model_dir, name)
    except DeliveryError as error:
        survived = False
        assert "type the same again" in str(error)
    assert hit
    assert survived or fault == "truncated"
    assert register(azure, model_dir, name).digest == digest_of(model_dir)
    [number] = numbers(azure, name)
    registry.fetch(name, number, azure.store, tmp_path / "model")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_registry_that_stays_away_is_told_and_leaves_nothing(azure: Azure, model_dir: Path, fault: str) -> None:
    azure.fault = lambda method, _: fault if method == "POST" else ""
    with pytest.raises(RegistryError, match=r"does not answer as it should: .*\n.*type the same again"):
        register(azure, model_dir, f"away-{fault}")
    azure.fault = lambda *_: ""
    assert numbers(azure, f"away-{fault}") == []
    assert register(azure, model_dir, f"away-{fault}").digest == digest_of(model_dir)


def test_a_slow_network_is_borne(azure: Azure, model_dir: Path) -> None:
    azure.fault = lambda *_: "slow"
    assert register(azure, model_dir, "slow").version == 1
    assert numbers(azure, "slow") == [1]


def test_a_champion_is_set_through_a_failing_network(azure: Azure, model_dir: Path, make_model: MakeModel) -> None:
    for folder in (model_dir, make_model(bias=9.0)):
        register(azure, folder, "shaken")
    for number, (method, path, fault) in enumerate(
        (call[0], call[1], fault)
        for call in (("POST", "/model-versions/set-tag"), ("DELETE", "/model-versions/delete-tag"))
        for fault in ("lost", "unanswered")
    ):
        registry.set_champion("shaken", 1 + number % 2, "staging", azure.store)
        hit = azure.fail_once(fault, method, path)
        registry.set_champion("shaken", 2 - number % 2, "staging", azure.store)
        assert hit
        marked = [entry.version for entry in registry.versions_of("shaken", azure.store) if entry.champion_of]
        assert marked == [2 - number % 2]


def test_why_a_registry_does_not_answer_is_told_behind_the_longest_address(azure: Azure) -> None:
    store = f"http://127.0.0.1:9/{'behind/a/gateway/' * 40}"  # nobody listens at the discard port
    with pytest.raises(RegistryError, match="Connection refused") as told:
        registry.versions_of("parts", store)
    assert len(str(told.value).partition("\n")[0].partition(" does not answer ")[2]) < 600
