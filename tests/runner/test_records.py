"""trey runs, show, report: whole outputs."""

import json
import re

from click.testing import CliRunner

from runner.cli import main

from .conftest import GLUE, Project

PIPELINE = "notebooks: ../notebooks\nphases: [measure]\nscraps: {measure: {rows: how many}}\n"


def trey(project: Project, *words: str) -> str:
    done = CliRunner().invoke(main, [*words, "--pipeline", str(project.root / "params" / "pipeline.yaml")])
    assert done.exit_code == 0, done.output
    return re.sub(r"\d+\.\d", "0.0", done.output)


def ready(project: Project) -> Project:
    project.write("params/pipeline.yaml", PIPELINE)
    project.notebook("measure", GLUE + "\nglue('rows', 12345)", parameters='output_dir: str = "x"')
    return project


def test_before_the_first_run(project: Project) -> None:
    assert trey(ready(project), "runs") == "no runs yet\nnext: trey run\n"


def test_the_list(project: Project) -> None:
    ready(project).run()
    run_dir = project.run_dir
    assert trey(project, "runs").splitlines() == [
        f"{'run':<{len(run_dir.name)}}  status     seconds  ran  reused  why",
        f"{run_dir.name}  succeeded  0.0      1    0       all 1 phases succeeded; the pipeline has no gates",
    ]
    assert [entry["run_id"] for entry in json.loads(trey(project, "runs", "--json"))] == [run_dir.name]


def test_a_reason_of_many_lines_is_told_once_and_listed_by_the_beginning_of_its_first(project: Project) -> None:
    project.write("params/pipeline.yaml", PIPELINE)
    fault = f"{'x' * 90} first\nsecond\nthird"
    project.notebook("measure", f"raise ValueError({fault!r})", parameters='output_dir: str = "x"')
    pipeline = str(project.root / "params" / "pipeline.yaml")
    done = CliRunner().invoke(main, ["run", "--pipeline", pipeline])
    assert done.stderr.splitlines()[-1].endswith("x first …")
    assert done.stdout.splitlines()[1:3] == ["second", "third"]
    _, *lines = trey(project, "runs").splitlines()
    assert [line.rpartition("  ")[2] for line in lines] == [f"measure failed: ValueError in cell 2: {'x' * 61}…"]
    assert trey(project, "show", "last").count("second") == 1


def test_one_run(project: Project) -> None:
    found = ready(project).run()
    run_dir = project.run_dir
    assert trey(project, "show", "last").splitlines() == [
        f"{run_dir.name}  succeeded: all 1 phases succeeded; the pipeline has no gates",
        "",
        "measure     succeeded      0.0 s  first run",
        "",
        "measure",
        "  rows                        12,345",
        "",
        f"report: {run_dir / 'report.html'}",
    ]
    assert (
        json.loads(CliRunner().invoke(main, ["show", "last", "--json", "--runs", str(run_dir.parent)]).output) == found
    )


def test_the_report_is_written_again(project: Project) -> None:
    ready(project).run()
    run_dir = project.run_dir
    (run_dir / "report.html").unlink()
    assert trey(project, "report", run_dir.name[:-2]) == f"{run_dir / 'report.html'}\n"
    assert (run_dir / "report.html").is_file()
