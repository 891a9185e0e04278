"""The page of a run: verdict first, missing evidence red, every link leads somewhere."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from runner import record
from runner.report import shown, write_report

from .conftest import GLUE, Project

PIPELINE = """
notebooks: ../notebooks
phases: [measure, publish]
gates:
  publish:
    - {scrap: measure.accuracy_low, min: 0.5, why: "half wrong is a coin"}
    - {scrap: measure.absent, max: 1}
scraps:
  measure:
    accuracy: "share <right>"
    accuracy_low: "its lower end"
    accuracy_high: "its upper end"
    absent: "never glued"
"""
MEASURE = GLUE + "\nglue('accuracy', 0.75)\nglue('accuracy_low', {low})\nglue('accuracy_high', 0.9)"


@pytest.fixture
def run(project: Project) -> Callable[..., tuple[str, Path]]:
    """Give a function that runs a small pipeline and gives its page and folder."""

    def execute(low: str = "0.6", gates: str = PIPELINE) -> tuple[str, Path]:
        project.write("params/pipeline.yaml", gates)
        project.notebook("measure", MEASURE.replace("{low}", low), parameters='output_dir: str = "x"')
        project.notebook(
            "publish", "print('out')", parameters='measure_dir: str = "x"\noutput_dir: str = "y"  # <b>where</b>'
        )
        project.run()
        run_dir = project.run_dir
        return (run_dir / record.REPORT).read_text(encoding="utf-8"), run_dir

    return execute


def test_missing_evidence_is_red_and_stops(run: Callable[..., tuple[str, Path]]) -> None:
    html, _ = run()
    assert '<h1 class="bad">Stopped: not released</h1>' in html
    row = next(part for part in html.split("<tr>")[1:] if "measure.absent" in part)
    assert '<span class="pill bad">✗ fail</span>' in row
    assert '<td class="number bad" data-label="value">missing</td>' in row


def test_what_needs_a_look_comes_first_with_what_is_behind_it(run: Callable[..., tuple[str, Path]]) -> None:
    rules = "{scrap: measure.accuracy, max: 1}\n    - {scrap: measure.accuracy_low, about: measure.accuracy, min: 0.9"
    html, _ = run(gates=PIPELINE.replace("{scrap: measure.accuracy_low, min: 0.5", rules))
    verdicts = re.findall(r'<span class="pill \w+">(.*?)</span></td>\n<th scope="row"><?[^<]*<?', html)
    assert verdicts[:3] == ["✗ fail", "✗ fail", "✓ pass"]
    assert "measure.<wbr>accuracy_<wbr>low</a>: 0.75<br>" in html


def test_a_release_shows_values_intervals_and_reasons(run: Callable[..., tuple[str, Path]]) -> None:
    html, _ = run(gates=PIPELINE.replace("    - {scrap: measure.absent, max: 1}\n", ""))
    assert '<h1 class="good">Release</h1>' in html
    assert "1 of 1 gates passed" in html
    assert "half wrong is a coin" in html
    assert "0.75 (0.6 to 0.9)" in html
    assert "share &lt;right&gt;" in html


def test_a_failure_shows_the_error_and_what_to_do(run: Callable[..., tuple[str, Path]]) -> None:
    html, _ = run(low="1 / 0")
    assert '<h1 class="bad">Failed: not released</h1>' in html
    assert "ZeroDivisionError" in html
    assert "Next: open the notebook at the failing cell" in html


def test_every_link_leads_to_an_anchor(run: Callable[..., tuple[str, Path]]) -> None:
    html, run_dir = run()
    links = re.findall(r'href="([^"]+)"', html)
    assert any("#cell-" in link for link in links)
    for link in links:
        page, _, anchor = link.partition("#")
        assert (
            f'id="{anchor}"' in (run_dir / page).read_text(encoding="utf-8") if anchor else (run_dir / page).is_file()
        )


def test_the_page_needs_no_network_and_runs_nothing(run: Callable[..., tuple[str, Path]]) -> None:
    html, _ = run()
    assert "<script" not in html
    assert re.findall(r'(?:src|href)="(?:https?:)?//', html) == []
    assert "default-src 'none'" in html


def test_a_run_cut_short_has_a_page(run: Callable[..., tuple[str, Path]]) -> None:
    _, run_dir = run()
    found = record.load(run_dir)
    found["status"], found["decision"] = "running", None
    found["phases"]["publish"]["status"] = "running"
    record.save(run_dir, found)
    (run_dir / "notebooks" / "publish.html").unlink(missing_ok=True)
    html = write_report(run_dir).read_text(encoding="utf-8")
    assert '<h1 class="warn">Interrupted: not released</h1>' in html


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "missing"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.98765, "0.9877"),
        (1.5e-7, "1.5e-07"),
        (0.0, "0"),
        (0.95, "0.95"),
        (12345.678, "12,345.678"),
        ("a" * 64, "aaaaaaaaaaaa…"),
        ([1, 2], "[1, 2]"),
        ("blue", "blue"),
    ],
)
def test_values_are_shown_as_people_read_them(value: object, text: str) -> None:
    assert shown(value) == text


def test_pictures_and_tables_that_were_glued_are_shown(project: Project) -> None:
    table = "<table><tr><td onclick=x>0.9953</td></tr></table><script>x</script>"
    glue = 'display({{"text/html": "{}"}}, metadata={{"scrapbook": {{"name": "{}", "display": True}}}}, raw=True)'
    project.write("params/pipeline.yaml", "notebooks: ../notebooks\nphases: [measure]\n")
    cells = [
        "from IPython.display import display",
        glue.format(table, "table_by_plant"),
        glue.format("<b>aside</b>", "other"),
    ]
    project.notebook("measure", *cells, parameters='output_dir: str = "x"')
    project.run()
    html = (project.run_dir / record.REPORT).read_text(encoding="utf-8")
    assert "<table><tbody><tr><td>0.9953</td></tr></tbody></table>" in html
    assert '<figcaption><a href="notebooks/measure.html#cell-3">by plant</a></figcaption>' in html
    assert "aside" not in html


def test_documents_that_were_glued_are_folded_away_and_harmless(project: Project) -> None:
    project.pipeline("phases: [measure]")
    project.notebook(
        "measure",
        "from IPython.display import display",
        'text = "# A card\\n\\n<script>x</script>\\n\\n| a | b |\\n|---|---|\\n| 1 | 2 |"\n'
        'display({"text/markdown": text}, raw=True, '
        'metadata={"scrapbook": {"name": "document_model_card", "display": True}})',
        parameters='output_dir: str = "x"',
    )
    project.run()
    html = (project.run_dir / record.REPORT).read_text(encoding="utf-8")
    section = html.split("<h2>Documents</h2>")[1].split("</section>")[0]
    assert '<details class="document"><summary>Model card</summary>' in section
    assert 'As <a href="notebooks/measure.html#cell-3">measure</a> wrote it.' in section
    assert "<h1>A card</h1>" in section
    assert "<td>1</td>" in section
    assert "<script>" not in section
    assert "Plots and tables" not in html


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        (["low"], "0.75 (at least 0.6)"),
        (["high"], "0.75 (at most 0.9)"),
        (["low", "high"], "0.75 (0.6 to 0.9)"),
        ([], "0.75"),
    ],
)
def test_a_result_is_shown_with_the_ends_it_has(project: Project, ends: list[str], said: str) -> None:
    glued = {"share": 0.75} | {f"share_{end}": {"low": 0.6, "high": 0.9}[end] for end in ends}
    project.pipeline("phases: [judge]")
    lines = [GLUE, *(f"glue({name!r}, {value})" for name, value in glued.items())]
    project.notebook("judge", "\n".join(lines), parameters='output_dir: str = "x"')
    project.run()
    html = (project.run_dir / record.REPORT).read_text(encoding="utf-8")
    assert re.findall(r'title="0.75">(.*?)</a>', html) == [said]


COMPARED = GLUE + "\nglue('champion', {exists})\nglue('champion_delta', 0.012)\nglue('champion_delta_low', -0.003)"
COMPARED += "\nglue('champion_delta_high', 0.027)"


@pytest.mark.parametrize(("exists", "said"), [("True", "0.012 (-0.003 to 0.027)"), ("False", "no champion</a> yet")])
def test_the_champion_stands_beside_the_challenger(project: Project, exists: str, said: str) -> None:
    project.pipeline("phases: [judge]")
    project.notebook("judge", COMPARED.replace("{exists}", exists), parameters='output_dir: str = "x"')
    project.run()
    html = (project.run_dir / record.REPORT).read_text(encoding="utf-8")
    section = html.split("<h2>Champion against challenger</h2>")[1].split("</section>")[0]
    assert said in section
    assert 'href="notebooks/judge.html#cell-2"' in section


def test_a_gate_on_an_end_shows_the_whole_interval(run: Callable[..., tuple[str, Path]]) -> None:
    html, _ = run()
    row = next(part for part in html.split("<tr>")[1:] if "half wrong is a coin" in part)
    assert "<small>of 0.75 (0.6 to 0.9)</small>" in row
    assert 'data-label="n"' not in row


def test_where_a_run_comes_from_is_told(project: Project) -> None:
    data = project.write("data.csv", "a\n")
    project.pipeline("phases: [load]\nlock: lock.txt")
    project.write("params/lock.txt", "one==1")
    project.notebook("load", "1", parameters='source: str = ""\nseed: int = 7\noutput_dir: str = "x"')
    found = project.run(sets=(f"load.source={data}",))
    html = (project.run_dir / record.REPORT).read_text(encoding="utf-8")
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>", html))
    digest = found["phases"]["load"]["inputs"]["source"]
    assert facts["Data of load: source"] == f"{data}, {digest[:12]}…"
    assert digest in html
    assert facts["Seed"] == "7"
    assert facts["Commit"] == "unknown: not in a git repository"
    assert facts["Notebook of load"].startswith(
        f"notebooks/load.ipynb {found['phases']['load']['notebook']['source_sha256'][:12]}…"
    )
    assert facts["Lock"] == f"{found['source']['lock_sha256'][:12]}…"  # type: ignore[index]


def test_what_people_decided_is_shown(run: Callable[..., tuple[str, Path]]) -> None:
    html, run_dir = run()
    assert "Nobody has approved or rejected this run, and nothing was waived." in html
    found = record.load(run_dir)
    words = {"by": "<ada>", "at": "2026-11-24T10:15:00.000Z", "comment": "too few parts of 1996", "digest": "d" * 64}
    found["sign_offs"] = [{"kind": "waiver", "subject": "measure.absent", **words}]  # type: ignore[typeddict-item]
    record.save(run_dir, found)
    html = write_report(run_dir).read_text(encoding="utf-8")
    top, rest = html.split("</header>")
    assert "<strong>Waived by &lt;ada&gt;:</strong> measure.absent: too few parts of 1996" in top
    assert f'<code title="{"d" * 64}">dddddddddddd…</code>' in rest
