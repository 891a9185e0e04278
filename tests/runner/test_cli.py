import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from runner.cli import COMMANDS, main

from .conftest import Project


def trey(project: Project, *words: str, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.chdir(project.root)
    return CliRunner().invoke(main, words, prog_name="trey")


def python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=cwd, env=os.environ.copy(), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_with_an_example(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command and command.help
    assert command.help.splitlines()[0] == COMMANDS[name][1]
    assert re.search(rf"Examples?:\n +trey {name}", command.help)
    assert all(option.help for option in command.params if isinstance(option, click.Option))
    shown = CliRunner().invoke(main, [name, "--help"])
    assert (shown.exit_code, f"trey {name}" in shown.output) == (0, True)


def test_the_overview_imports_nothing_slow(tmp_path: Path) -> None:
    code = "import sys\nfrom runner.cli import main\nmain(['--help'], standalone_mode=False)\n"
    code += "print([n for n in ('papermill', 'mlflow', 'pandas', 'rich', 'nbformat', 'yaml') if n in sys.modules])"
    done = python(code, tmp_path)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(f"\n  {name}" in done.stdout for name in COMMANDS)


def test_a_run_prints_its_verdict_and_where_the_report_is(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    done = trey(chain, "run", "--run-id", "first", monkeypatch=monkeypatch)
    assert done.exit_code == 0
    assert done.stdout == "release: 1 of 1 gates passed\nreport: runs/first/report.html\nnext: trey show first\n"
    again = trey(chain, "run", "--json", monkeypatch=monkeypatch)
    assert json.loads(again.stdout)["decision"] == {"verdict": "release", "reason": "1 of 1 gates passed"}


def test_a_stop_is_a_planned_end_unless_it_is_asked_otherwise(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["run", "--set", "make.number=0"]
    done = trey(chain, *words, "--run-id", "one", monkeypatch=monkeypatch)
    assert done.exit_code == 0
    assert done.stdout == (
        "stopped: the gates of use stopped the run: make.number: 0 < 1\n"
        "report: runs/one/report.html\n"
        "next: trey show one\n"
    )
    assert trey(chain, *words, "--fail-on-stop", monkeypatch=monkeypatch).exit_code == 3


def test_a_run_that_was_asked_to_end_early_names_the_command_that_goes_on(
    chain: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same parameters, or it would not be the same run."""
    words = ["trey", "run", "--to=make", "--set", "make.number=7", "--run-id", "one", "--fresh"]
    monkeypatch.setattr("sys.argv", words)
    done = trey(chain, *words[1:], monkeypatch=monkeypatch)
    assert done.stdout.splitlines()[-1] == "next: trey run --set make.number=7"
    monkeypatch.setattr("sys.argv", ["trey", "run", "--to", "use"])
    done = trey(chain, "run", "--to", "use", "--run-id", "two", monkeypatch=monkeypatch)
    assert done.stdout.splitlines()[-1] == "next: trey show two"


def test_a_failed_phase_ends_with_1(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    chain.notebook("make", "1 / 0", parameters='output_dir: str = "x"')
    done = trey(chain, "run", "--run-id", "one", monkeypatch=monkeypatch)
    assert done.exit_code == 1
    assert done.stdout.startswith("failed: make failed: ZeroDivisionError in cell 2: division by zero\n")


def test_a_plan_shows_what_would_run_and_why(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert trey(chain, "plan", monkeypatch=monkeypatch).stdout == (
        "make  runs     first run\nuse   runs     make runs before it\n      reads make\n      gate make.number min 1\n"
    )
    chain.run(run_id="first")
    assert trey(chain, "plan", monkeypatch=monkeypatch).stdout == (
        "make  cached   unchanged since first\n"
        "use   cached   unchanged since first\n"
        "      reads make\n"
        "      gate make.number min 1: pass, 2 ≥ 1\n"
    )
    (chain.root / "params" / "pipeline.yaml").open("a").write("outcome: [{scrap: use.twice, max: 3}]\n")
    said = trey(chain, "plan", monkeypatch=monkeypatch).stdout
    assert said.endswith("2 ≥ 1\noutcome use.twice max 3: fail, 4 > 3\n")
    assert "outcome" not in trey(chain, "plan", "--to", "make", monkeypatch=monkeypatch).stdout
    said = trey(chain, "plan", "--fresh", "--json", monkeypatch=monkeypatch).stdout
    assert json.loads(said)["outcome"] == [{"phase": "outcome", "scrap": "use.twice", "rule": {"max": 3}}]
    told = json.loads(trey(chain, "plan", "--set", "make.number=0", "--json", monkeypatch=monkeypatch).stdout)
    assert [(phase["name"], phase["runs"], phase["why"]) for phase in told["phases"]] == [
        ("make", True, "params make.number 2 → 0"),
        ("use", True, "make runs before it"),
    ]
    assert [path.name for path in (chain.root / "runs").iterdir()] == ["first"]


def test_a_wrong_request_ends_with_2_and_the_next_command(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    done = trey(chain, "run", "--set", "make.numbr=3", "--set", "make.number=x", monkeypatch=monkeypatch)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr == (
        "trey: --set: make does not declare numbr; did you mean number?\n"
        "--set: make.number is 'x' (str); allowed is int\n"
        "next: trey plan, with the values mended\n"
    )
    assert not (chain.root / "runs").exists()


def test_an_unknown_command_is_answered_with_the_nearest(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    done = trey(chain, "pln", monkeypatch=monkeypatch)
    assert done.exit_code == 2
    assert "there is no command 'pln'; did you mean plan?" in done.stderr


def test_a_folder_without_a_pipeline_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    done = trey(project, "plan", monkeypatch=monkeypatch)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"trey: there is no params/pipeline.yaml in {project.root} or above it\n")


def test_parameters_are_listed_with_what_is_allowed(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = "number: float  # of parts, between 1 and 9\nname: str = 'a'  # a = b\noutput_dir: str = 'x'"
    path = chain.notebook("make", "1", parameters=declared)
    lines = trey(chain, "params", "make", monkeypatch=monkeypatch).output.splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["NAME", "TYPE", "DEFAULT", "ALLOWED", "HELP"],
        ["number", "float", "required", "between", "1", "and", "9", "of", "parts"],
        ["name", "str", '"a"', "a", "=", "b"],
    ]
    listed = json.loads(trey(chain, "params", str(path), "--json", monkeypatch=monkeypatch).output)
    assert listed[0] == {
        "name": "number",
        "type": "float",
        "required": True,
        "default": None,
        "constraint": "between 1 and 9",
        "help": "of parts",
    }
    assert trey(chain, "params", "mak", monkeypatch=monkeypatch).exit_code == 2


def test_one_phase(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    done = trey(chain, "phase", "make", "--out", "out/make", "--set", "make.number=4", monkeypatch=monkeypatch)
    assert done.exit_code == 0
    assert re.fullmatch(r"make succeeded in \d+\.\d s\n", done.stdout)
    done = trey(
        chain, "phase", "use", "--in", "make_dir=out/make", "--out", "out/use", "--json", monkeypatch=monkeypatch
    )
    assert json.loads(done.stdout)["phases"]["use"]["scraps"]["twice"]["value"] == 8.0


def test_a_run_of_another_pipeline_is_named_by_its_path(
    chain: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So that the next step can be typed where the first was."""
    chain.notebook("use", "1 / 0", parameters='make_dir: str = ""\noutput_dir: str = "x"')
    monkeypatch.chdir(tmp_path.parent)
    pipeline = Path(tmp_path.name) / "params" / "pipeline.yaml"
    runner = CliRunner()
    done = runner.invoke(main, ["run", "--pipeline", str(pipeline), "--run-id", "one"])
    *_, words = done.stdout.splitlines()
    assert words == f"next: trey show {tmp_path.name}/runs/one"
    for command in ("show", "resume", "report"):
        assert runner.invoke(main, [command, words.split()[-1]]).exit_code in (0, 1), command
    chain.notebook("use", "1", parameters='make_dir: str = ""\noutput_dir: str = "x"')
    assert runner.invoke(main, ["resume", words.split()[-1]]).stdout.startswith("release: 1 of 1 gates passed")
