"""The registry, against a real MLflow in a folder: what is registered comes back, once, and marked at most once."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from delivery import external, registry
from delivery.errors import BadName, ModelChanged, RegistryError
from delivery.stores import tracking_uri

from ..fixtures_model import MakeModel, digest_of, write_model

HERE = Path(__file__).parent


def register(model_dir: Path, name: str, store: str, **tags: str) -> registry.ModelVersion:
    return registry.register(model_dir, name=name, store=store, tags=tags, metrics={"accuracy": 0.97}, run_name="r1")


def test_a_version_carries_digest_origin_and_figures(registry_store: str, model_dir: Path) -> None:
    version = register(model_dir, "carried", registry_store, source_run="run-1", data_digest="d", git_commit="")
    assert (version.name, version.version, version.digest) == ("carried", 1, digest_of(model_dir))
    assert version.tags == {"source_run": "run-1", "data_digest": "d", "digest": digest_of(model_dir)}
    assert version.metrics == {"accuracy": 0.97}
    assert version.champion_of == ()
    assert registry.version("carried", 1, registry_store) == version


def test_the_same_digest_gives_the_version_that_exists(
    registry_store: str, model_dir: Path, make_model: MakeModel
) -> None:
    first = register(model_dir, "same", registry_store, source_run="run-1")
    second = register(make_model(bias=1.0), "same", registry_store, source_run="run-2")
    assert register(model_dir, "same", registry_store, source_run="run-3") == first
    assert (
        [entry.version for entry in registry.versions_of("same", registry_store)]
        == [1, 2]
        == [
            first.version,
            second.version,
        ]
    )


def test_what_is_fetched_is_what_was_registered(registry_store: str, model_dir: Path, tmp_path: Path) -> None:
    register(model_dir, "fetched", registry_store)
    folder = registry.fetch("fetched", 1, registry_store, tmp_path / "deep" / "model")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in model_dir.iterdir()
    }
    assert registry.fetch("fetched", 1, registry_store, folder) == folder
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_fetching_over_something_else_is_refused(registry_store: str, model_dir: Path, tmp_path: Path) -> None:
    register(model_dir, "over", registry_store)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(RegistryError, match="holds something else"):
        registry.fetch("over", 1, registry_store, tmp_path)
    assert (tmp_path / "notes.txt").exists()


def test_a_folder_that_is_not_intact_is_refused(registry_store: str, make_model: MakeModel) -> None:
    folder = make_model()
    (folder / "MODEL_CARD.md").write_text("another", encoding="utf-8")
    with pytest.raises(ModelChanged, match=r"MODEL_CARD\.md was changed"):
        register(folder, "broken", registry_store)
    assert registry.versions_of("broken", registry_store) == []


def stored_file(store: str, name: str) -> Path:
    """Give the one copy of model.onnx in the registry's files."""
    [path] = (Path(store) / "artifacts" / name).rglob("model.onnx")
    return path


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"x")], ids=["lost", "changed"])
def test_files_spoiled_in_the_registry_are_noticed(
    registry_store: str, model_dir: Path, tmp_path: Path, spoil: object, request: pytest.FixtureRequest
) -> None:
    name = f"spoiled-{request.node.callspec.id}"
    register(model_dir, name, registry_store)
    spoil(stored_file(registry_store, name))
    with pytest.raises(ModelChanged, match="read back from the registry"):
        registry.fetch(name, 1, registry_store, tmp_path / "model")
    with pytest.raises(ModelChanged, match="read back from the registry"):
        register(model_dir, name, registry_store)
    assert not (tmp_path / "model").exists()


def test_an_unknown_version_says_which_exist(registry_store: str, model_dir: Path, tmp_path: Path) -> None:
    register(model_dir, "known", registry_store)
    with pytest.raises(RegistryError, match=r"no version 2 of known .* versions there: 1\."):
        registry.fetch("known", 2, registry_store, tmp_path / "model")
    with pytest.raises(RegistryError, match="versions there: none"):
        registry.set_champion("unknown", 1, "staging", registry_store)


def test_an_environment_has_one_champion(registry_store: str, model_dir: Path, make_model: MakeModel) -> None:
    register(model_dir, "crowned", registry_store)
    register(make_model(bias=2.0), "crowned", registry_store)
    assert registry.champion("crowned", "staging", registry_store) is None
    for number in (1, 2, 1):
        assert registry.set_champion("crowned", number, "staging", registry_store).champion_of == ("staging",)
        found = registry.champion("crowned", "staging", registry_store)
        assert found is not None
        assert found.version == number
        marked = [entry.version for entry in registry.versions_of("crowned", registry_store) if entry.champion_of]
        assert marked == [number]
    registry.set_champion("crowned", 2, "production", registry_store)
    champions = {entry.version: entry.champion_of for entry in registry.versions_of("crowned", registry_store)}
    assert champions == {1: ("staging",), 2: ("production",)}


def test_of_two_marks_that_a_killed_change_left_the_newer_counts(
    registry_store: str, model_dir: Path, make_model: MakeModel
) -> None:
    from mlflow.tracking import MlflowClient

    register(model_dir, "twice", registry_store)
    register(make_model(bias=3.0), "twice", registry_store)
    client = MlflowClient(tracking_uri(registry_store), tracking_uri(registry_store))
    for number in ("1", "2"):
        client.set_model_version_tag("twice", number, "champion.staging", "true")
    found = registry.champion("twice", "staging", registry_store)
    assert found is not None
    assert found.version == 2
    assert registry.set_champion("twice", 1, "staging", registry_store).champion_of == ("staging",)
    assert registry.version("twice", 2, registry_store).champion_of == ()


def test_an_absent_registry_is_empty_and_stays_absent(tmp_path: Path) -> None:
    store = str(tmp_path / "nothing")
    assert registry.list_versions(store) == []
    assert registry.versions_of("parts", store) == []
    assert registry.champion("parts", "production", store) is None
    assert not (tmp_path / "nothing").exists()


def test_all_versions_are_listed_the_newest_first(registry_store: str, model_dir: Path, make_model: MakeModel) -> None:
    for name in ("listed-b", "listed-a"):
        register(model_dir, name, registry_store)
    register(make_model(bias=4.0), "listed-a", registry_store)
    listed = [(entry.name, entry.version) for entry in registry.list_versions(registry_store)]
    assert [entry for entry in listed if entry[0].startswith("listed")] == [
        ("listed-a", 2),
        ("listed-a", 1),
        ("listed-b", 1),
    ]


@pytest.mark.parametrize("name", ["", "a/b", "a'b", "..", "ä", "x" * 129, "a b"])
def test_names_that_are_no_names_are_refused(registry_store: str, model_dir: Path, name: str) -> None:
    with pytest.raises(BadName):
        register(model_dir, name, registry_store)


def test_a_registration_killed_anywhere_leaves_no_version_without_its_files(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    command = [sys.executable, str(HERE / "kill_registration.py"), str(tmp_path / "registry"), str(model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    kills, versions_after_a_kill = map(int, done.stdout.split())
    assert kills > 10
    assert 0 < versions_after_a_kill < kills


REGISTER = """
import sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        print("outside:", event, arguments[1:], file=sys.stderr)
sys.addaudithook(watch)
from pathlib import Path
from delivery import registry
version = registry.register(Path(sys.argv[1]), name="parts", store=sys.argv[2], tags={}, metrics={})
print(version.version, version.digest)
"""


def test_three_first_registrations_at_once_agree_silently_and_without_a_network(tmp_path: Path) -> None:
    """In a fresh folder: two of one model and one of another. Nobody speaks on standard error or asks the network."""
    models = [write_model(tmp_path / "a"), write_model(tmp_path / "b", bias=1.0)]
    store = tmp_path / "with a space" / "registry"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", REGISTER, str(model), str(store)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for model in (models[0], models[1], models[0])
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert [err for _, err in outputs] == ["", "", ""]
    said = [out.split() for out, _ in outputs]
    assert said[0] == said[2]
    assert {number for number, _ in said} == {"1", "2"}
    assert [digest for _, digest in said[:2]] == [digest_of(model) for model in models]
    found = {entry.version: entry.digest for entry in registry.versions_of("parts", str(store))}
    assert found == {int(number): digest for number, digest in said}
    shutil.rmtree(store)
    assert external.registry_state(external.version_uri(str(store), "parts", 1)) == external.ABSENT
