"""`trey models`, `trey score` and `trey serve`, as a person types them."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from delivery import registry
from delivery.endpoint import Endpoint
from delivery.locks import held
from runner.cli.delivery import models, serve
from runner.cli.score import score
from runner.errors import BadRequest, RunFailed

from ..fixtures_model import digest_of

SERVE = "import sys; from runner.cli.delivery import serve; serve(sys.argv[1:])"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> str:
    """Give a registry with one version, champion of staging."""
    store = str(tmp_path_factory.mktemp("commands") / "registry")
    metrics = {"accuracy": 0.9, "accuracy_low": 0.8}
    registry.register(model_dir, name="parts", store=store, tags={"source_run": "r1"}, metrics=metrics)
    registry.set_champion("parts", 1, "staging", store)
    return store


@pytest.fixture
def live(endpoint_store: Path, model_dir: Path) -> Path:
    """Give endpoints with one model live in staging."""
    endpoint = Endpoint(endpoint_store, "parts", "staging")
    endpoint.finish(endpoint.place(model_dir, 4, digest_of(model_dir)).name)
    return endpoint_store


def test_models_as_a_table(store: str, model_dir: Path) -> None:
    done = CliRunner().invoke(models, ["--registry-store", store])
    heading, row = done.output.splitlines()
    assert heading.split("  ")[0] == "MODEL"
    cells = row.split()
    assert cells[:4] == ["parts", "1", digest_of(model_dir)[:12], "staging"]
    assert cells[-2:] == ["accuracy", "0.9000"]


def test_models_as_json(store: str, model_dir: Path) -> None:
    done = CliRunner().invoke(models, ["--registry-store", store, "--json"])
    [model] = json.loads(done.output)
    assert model.pop("registered_at").endswith("+00:00")
    assert model["tags"].pop("champion.staging").endswith("Z")
    assert model == {
        "name": "parts",
        "version": 1,
        "digest": digest_of(model_dir),
        "champion_of": ["staging"],
        "metrics": {"accuracy": 0.9, "accuracy_low": 0.8},
        "tags": {"digest": digest_of(model_dir), "source_run": "r1"},
    }


def test_no_models_says_what_to_type(tmp_path: Path) -> None:
    done = CliRunner().invoke(models, ["--registry-store", str(tmp_path / "none")])
    assert done.output.splitlines() == [f"no model is registered in {tmp_path / 'none'}", "next: trey run"]
    assert CliRunner().invoke(models, ["--registry-store", str(tmp_path / "none"), "--json"]).output == "[]\n"


def test_the_stores_of_the_project_are_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "pipeline.yaml").write_text("phases: []\n", encoding="utf-8")
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert str(tmp_path / "registry") in CliRunner().invoke(models, []).output
    refused = CliRunner().invoke(serve, ["--env", "staging"]).exception
    assert isinstance(refused, BadRequest)
    assert str(tmp_path / "endpoints") in str(refused)


def test_serve_answers_until_ctrl_c(live: Path) -> None:
    words = ["--env", "staging", "--endpoint-store", str(live), "--port", "0"]
    with subprocess.Popen([sys.executable, "-c", SERVE, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(3)]
        assert said[0].startswith("serving parts, version 4, digest ")
        url = said[1].removeprefix("listening on ").strip()
        assert said[2].startswith(f"try: curl -s {url}/score ")
        assert httpx.post(f"{url}/score", json=["steel"], trust_env=False).json()["model"]["version"] == 4
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 130


@pytest.mark.parametrize(
    ("words", "says", "next_step"),
    [
        (["--env", "production"], "no model is live in prod", "trey release RUN --to production"),
        (["--env", "scratch"], "no model is live in scratch", "trey run --set deploy.environment=scratch"),
        (["--env", "staging", "--model", "x"], "live are parts", "trey serve --env staging --model parts"),
        (["--env", "../x"], "the environment is '../x'", "trey serve --help"),
    ],
)
def test_serve_refuses_what_is_not_live(live: Path, words: list[str], says: str, next_step: str) -> None:
    refused = CliRunner().invoke(serve, [*words, "--endpoint-store", str(live)]).exception
    assert isinstance(refused, BadRequest)
    assert says in str(refused)
    assert refused.next_step == next_step


@pytest.mark.parametrize("command", [models, serve])
def test_help_has_an_example(command: object) -> None:
    assert "Examples:\n" in CliRunner().invoke(command, ["--help"]).output  # type: ignore[arg-type]


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "parts.csv"
    path.write_text("no;description\n7;poor iron\n8;good steel\n9;\n", encoding="utf-8")
    return path


LAYOUT = ["--delimiter", ";", "--text-column", "description", "--copy", "no"]


def test_an_inventory_is_scored_with_what_is_live(live: Path, inventory: Path, model_dir: Path) -> None:
    where = ["--env", "staging", "--endpoint-store", str(live)]
    done = CliRunner().invoke(score, [str(inventory), *where, *LAYOUT], catch_exceptions=False)
    scored = inventory.with_name("parts.scored.csv")
    assert done.stdout.splitlines() == [
        "2 of 3 rows scored by parts version 4: 1 compliant, 1 non-compliant",
        "1 refused: 1 × the text is empty",
        f"refused rows: {inventory.with_name('parts.scored.rejected.csv')}",
        f"scored: {scored}",
    ]
    assert [line.split(",")[2] for line in scored.read_text(encoding="utf-8").splitlines()] == ["no", "7", "8"]
    assert not list(inventory.parent.glob("*.lock")) + list(inventory.parent.glob(".*.lock"))

    with pytest.raises(BadRequest, match=r"parts\.scored\.csv exists"):
        CliRunner().invoke(score, [str(inventory), *where, *LAYOUT], catch_exceptions=False)
    by_folder = ["--model-dir", str(model_dir), "--overwrite", "--json"]
    done = CliRunner().invoke(score, [str(inventory), *by_folder, *LAYOUT], catch_exceptions=False)
    assert json.loads(done.stdout)["model"]["version"] is None


def test_faults_of_an_inventory_are_told_with_the_options_of_the_command(inventory: Path, model_dir: Path) -> None:
    def told(*words: str) -> list[str]:
        with pytest.raises(BadRequest) as caught:
            CliRunner().invoke(score, [*words], catch_exceptions=False)
        return list(caught.value.faults)

    model = ["--model-dir", str(model_dir)]
    assert "is it delimited by ;? --delimiter ';'" in told(str(inventory), *model)[0]
    assert told(str(inventory), *model, "--delimiter", ";", "--text-column", "descripton")[0].endswith(
        "did you mean 'description'? --text-column description"
    )
    assert told(str(inventory.with_name("none.csv")), *model)[0].endswith("does not exist; give a CSV file")
    assert told(str(inventory)) == ["give --env or --model-dir: which model scores?"]
    assert told(str(inventory), *model, "--env", "staging") == ["give --env or --model-dir: which model scores?"]
    assert "is no intact model" in told(str(inventory), "--model-dir", str(inventory.parent))[0]
    assert "there is no folder" in told(str(inventory), *model, "--output", str(inventory.parent / "no" / "s.csv"))[0]


def test_an_inventory_of_which_nothing_can_be_scored_ends_with_1(inventory: Path, model_dir: Path) -> None:
    inventory.write_text("text\n—\n", encoding="utf-8")
    with pytest.raises(RunFailed, match="none of 1 rows could be scored"):
        CliRunner().invoke(score, [str(inventory), "--model-dir", str(model_dir)], catch_exceptions=False)


def test_two_calls_do_not_write_one_file(inventory: Path, model_dir: Path) -> None:
    with (
        held(inventory.with_name(".parts.scored.csv.lock"), wait=0.0),
        pytest.raises(BadRequest, match="is being written"),
    ):
        CliRunner().invoke(score, [str(inventory), "--model-dir", str(model_dir), *LAYOUT], catch_exceptions=False)
