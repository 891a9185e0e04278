from pathlib import Path

import nbformat
import pytest

from runner import pipeline
from runner.errors import BadRequest
from runner.gates import Reference
from runner.pipeline import ReleasePolicy, load_pipeline

from .conftest import Project

OUTPUT = 'output_dir: str = "x"'


def faults(project: Project) -> list[str]:
    with pytest.raises(BadRequest) as fault:
        load_pipeline(project.root / "params" / "pipeline.yaml")
    assert fault.value.exit_code == 2
    assert str(fault.value).splitlines()[-1].startswith("next: mend ")
    return [text.removeprefix("pipeline.yaml: ") for text in fault.value.faults]


def phases(project: Project, **reads: list[str]) -> None:
    for phase, folders in reads.items():
        declared = "\n".join([*(f'{name}_dir: str = "x"' for name in folders), OUTPUT])
        project.notebook(phase, "1", parameters=declared)


def test_the_graph_follows_from_the_notebooks(project: Project) -> None:
    phases(project, report=["score", "load"], score=["load", "fit"], fit=["load"], load=[])
    project.pipeline("phases: [report, score, fit, load]")
    found = load_pipeline(project.root / "params" / "pipeline.yaml")
    assert found.order == ("load", "fit", "score", "report")
    assert found.edges == {"report": ("score", "load"), "score": ("load", "fit"), "fit": ("load",), "load": ()}
    assert found.root == project.root
    assert found.before("score") == ("load", "fit")


def test_otherwise_phases_come_as_they_are_listed(project: Project) -> None:
    phases(project, b=[], a=[], d=["c"], c=[])
    project.pipeline("phases: [b, d, a, c]")
    assert load_pipeline(project.root / "params" / "pipeline.yaml").order == ("b", "a", "c", "d")


def test_a_circle_is_named(project: Project) -> None:
    phases(project, a=["c"], b=["a"], c=["b"])
    project.pipeline("phases: [a, b, c]")
    (fault,) = faults(project)
    assert fault.startswith("the phases read each other in a circle: ")
    assert fault.count("→") == 3


def test_a_phase_that_reads_itself_is_a_circle(project: Project) -> None:
    phases(project, a=["a"])
    project.pipeline("phases: [a]")
    assert faults(project) == ["the phases read each other in a circle: a → a"]


def test_a_missing_notebook_is_named(project: Project) -> None:
    phases(project, a=[])
    project.pipeline("phases: [a, b]")
    assert faults(project) == [f"{project.root}/notebooks/b.ipynb: No such file or directory"]


def test_a_misspelt_edge_is_told_from_a_folder(project: Project) -> None:
    phases(project, prepare=[], train=["prepar", "cache"])
    project.pipeline("phases: [prepare, train]")
    assert faults(project) == ["train reads prepar_dir, but there is no phase prepar; did you mean prepare_dir?"]


def test_an_edge_from_a_notebook_that_is_no_phase_is_a_fault(project: Project) -> None:
    phases(project, prepare=[], train=["features"], features=[])
    project.pipeline("phases: [prepare, train]")
    assert faults(project) == ["train reads features_dir, and features.ipynb exists, but phases does not name features"]


def test_gates_are_read(chain: Project) -> None:
    chain.pipeline(
        "phases: [make, use]\n"
        "gates:\n  use:\n"
        "    - {scrap: make.number, min: make.low, estimate: make.number, n: make.n, about: make.number, "
        "when: champion, why: so}\n"
        "scraps: {make: {number: a, low: b, n: c, champion: d}}\n"
    )
    (rule,) = load_pipeline(chain.root / "params" / "pipeline.yaml").gates["use"]
    assert rule.scrap == rule.estimate == Reference("make", "number")
    assert (rule.kind, rule.bound, rule.n) == ("min", Reference("make", "low"), Reference("make", "n"))
    assert (rule.when, rule.why, rule.about) == ("champion", "so", Reference("make", "number"))


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("{scrap: make.numbr, min: 1}", "make documents no scrap numbr in `scraps`; did you mean number?"),
        ("{scrap: mak.number, min: 1}", "names the phase mak; did you mean make?"),
        ("{scrap: use.twice, min: 1}", "looks at use, which does not come before the guarded phase"),
        ("{scrap: number, min: 1}", "scrap is 'number'; it must be phase.scrap"),
        ("{scrap: make.number, min: 1, max: 2}", "min and max given; exactly one of min, max, equals"),
        ("{scrap: make.number}", "no bound given; exactly one of min, max, equals"),
        ("{min: 1}", "no scrap is named"),
        ("{scrap: make.number, mini: 1, min: 1}", "'mini' is no key; did you mean min?"),
        ("{scrap: make.number, min: true}", "min is True; allowed is a finite number or phase.scrap"),
        ("{scrap: make.number, min: .nan}", "min is nan; allowed is a finite number or phase.scrap"),
        ("{scrap: make.number, min: high}", "min is 'high'; it must be phase.scrap"),
        ("{scrap: make.number, equals: nan}", "equals is 'nan'; allowed is a finite number, true, false, a text"),
        ("{scrap: make.number, equals: [1]}", "equals is [1]; allowed is a finite number, true, false, a text"),
        ("{scrap: make.number, min: 1, when: always}", "make documents no scrap always in `scraps`"),
        ("{scrap: make.number, min: 1, when: [champion]}", "when is ['champion']; it must name a scrap of the same"),
        ("{scrap: make.number, min: 1, when: make.low}", "when is 'make.low'; it must name a scrap of the same"),
        ("{scrap: make.number, min: 1, when: champion}", "make documents no scrap champion in `scraps`"),
        ("{scrap: make.number, min: 1, about: make.numbr}", "documents no scrap numbr in `scraps`; did you mean num"),
        ("{scrap: make.number, min: 1, about: tyres}", "about is 'tyres'; it must be phase.scrap"),
        ("{scrap: make.number, min: 1, why: 3}", "why is 3; it must be a sentence"),
        ("{scrap: make.number, equals: 1, estimate: make.number}", "an estimate says nothing about equality"),
        ("make.number", "'make.number' is no rule"),
    ],
)
def test_a_badly_written_gate_is_a_fault(chain: Project, rule: str, fault: str) -> None:
    chain.pipeline(
        f"phases: [make, use]\ngates: {{use: [{rule}]}}\nscraps: {{make: {{number: n}}, use: {{twice: t}}}}\n"
    )
    found = faults(chain)
    assert len(found) == 1
    assert found[0].startswith("gates.use, rule 1")
    assert fault in found[0]


def test_all_faults_are_told_at_once(chain: Project) -> None:
    chain.pipeline(
        "phases: [make, use, make]\n"
        "gate: {}\n"
        "gates: {us: [], use: [{scrap: make.numbr, min: 1}, {scrap: make.number, mn: 1}]}\n"
        "uses: {use: [nowhere]}\n"
        "external: {registry: delivery.external}\nchecks: {make: checks}\n"
        "lock: absent.txt\n"
        "scraps: {make: {number: n}}\n"
    )
    assert faults(chain) == [
        "'gate' is no key; did you mean gates?",
        "phase make is given twice",
        "gates names the phase us; did you mean use?",
        "gates.use, rule 1: scrap: make documents no scrap numbr in `scraps`; did you mean number?",
        "gates.use, rule 2: 'mn' is no key; did you mean min?",
        "gates.use, rule 2: no bound given; exactly one of min, max, equals",
        "uses.use names nowhere, which is no module of the project",
        "checks.make is 'checks'; it must be module:function",
        "external.registry is 'delivery.external'; it must be module:function",
        f"lock names {chain.root}/params/absent.txt, which is no file",
    ]


def test_the_nearest_pipeline_is_found(chain: Project, tmp_path: Path) -> None:
    inside = chain.root / "notebooks"
    assert pipeline.locate(None, inside) == chain.root / "params" / "pipeline.yaml"
    assert pipeline.runs_folder(chain.root / "params" / "pipeline.yaml") == chain.root / "runs"
    with pytest.raises(BadRequest, match=r"there is no file other\.yaml"):
        pipeline.locate(Path("other.yaml"), tmp_path)


def test_a_standalone_phase_is_no_part_of_the_order_and_may_read_all_of_it(project: Project) -> None:
    phases(project, a=[], b=["a"], watch=["b", "a"])
    project.pipeline("phases: [a, b]\nstandalone: [watch]\nscraps: {watch: {seen: what was seen}}")
    found = load_pipeline(project.root / "params" / "pipeline.yaml")
    assert (found.order, found.standalone, found.every) == (("a", "b"), ("watch",), ("a", "b", "watch"))
    assert found.edges["watch"] == ("b", "a")
    assert found.before("watch") == ("a", "b")
    assert found.scraps["watch"] == {"seen": "what was seen"}


def test_nothing_may_build_on_a_standalone_phase(project: Project) -> None:
    phases(project, a=["watch"], watch=[])
    project.pipeline("phases: [a]\nstandalone: [watch]\ngates: {watch: []}")
    assert faults(project) == [
        "a reads watch_dir, and watch.ipynb exists, but phases does not name watch",
        "gates names watch, which no run executes; guard one of a",
    ]


def test_a_phase_is_standalone_or_not(project: Project) -> None:
    phases(project, a=[])
    project.pipeline("phases: [a]\nstandalone: [a]")
    assert faults(project) == ["phase a is given twice"]


def test_a_phase_may_have_a_limit_of_time(project: Project) -> None:
    phases(project, a=[], b=[])
    project.pipeline("phases: [a, b]\ntimeouts: {a: 90}")
    assert load_pipeline(project.root / "params" / "pipeline.yaml").timeouts == {"a": 90.0}
    for seconds in ("0", "-1", "soon", "true", ".inf", ".nan"):
        project.pipeline(f"phases: [a, b]\ntimeouts: {{a: {seconds}}}")
        (fault,) = faults(project)
        assert fault.startswith("timeouts.a is ")
        assert fault.endswith("; it must be a number of seconds above 0")


def test_a_tag_that_gives_no_limit_is_a_fault(project: Project) -> None:
    path = project.notebook("a", "1", parameters=OUTPUT)
    document = nbformat.read(path, as_version=4)
    document.cells[1].metadata["tags"] = ["timeout=soon"]
    nbformat.write(document, path)
    project.pipeline("phases: [a]")
    assert faults(project) == [
        "a.ipynb: cell 1: the tag `timeout=soon` gives no number of seconds above 0, such as `timeout=60`"
    ]


def test_retries_are_small_whole_numbers(project: Project) -> None:
    phases(project, a=[], b=[])
    project.pipeline("phases: [a, b]\nretries: {a: 2}")
    assert load_pipeline(project.root / "params" / "pipeline.yaml").retries == {"a": 2}
    for times in ("-1", "11", "1.5", "true", "often"):
        project.pipeline(f"phases: [a, b]\nretries: {{a: {times}}}")
        [fault] = faults(project)
        assert fault.startswith("retries.a is ")
        assert fault.endswith("it must be a whole number from 0 to 10")


def test_what_an_approval_needs_stands_in_the_pipeline(project: Project) -> None:
    phases(project, a=[], b=[])
    project.pipeline("phases: [a, b]")
    path = project.root / "params" / "pipeline.yaml"
    assert load_pipeline(path).release == ReleasePolicy("deploy", False, 7.0)
    project.pipeline("phases: [a, b]\nrelease: {phase: b, allow_self_approval: true, approval_days: 0.5}")
    assert load_pipeline(path).release == ReleasePolicy("b", True, 0.5)
    wrong = {
        "7": "release is int; it must be a mapping, such as {approval_days: 7}",
        "{day: 7}": "release: 'day' is no key; allowed are phase, allow_self_approval, approval_days, trial, "
        "environments",
        "{environments: production}": "release.environments must be a list of names",
        "{trial: staging}": "release.trial must be a list of names",
        "{trial: []}": "release.trial is empty; name environments, or leave it out, which allows every one",
        "{trial: }": "release.trial is empty; name environments, or leave it out, which allows every one",
        "{phase: c}": "release.phase names 'c'; allowed are a, b",
        "{allow_self_approval: 1}": "release.allow_self_approval is 1; it must be true or false",
        "{approval_days: 0}": "release.approval_days is 0; it must be above 0 and at most 366",
        "{approval_days: .inf}": "release.approval_days is inf; it must be above 0 and at most 366",
        "{approval_days: true}": "release.approval_days is True; it must be above 0 and at most 366",
    }
    for given, fault in wrong.items():
        project.pipeline(f"phases: [a, b]\nrelease: {given}")
        assert faults(project) == [fault]


def test_the_outcome_is_judged_by_rules_about_any_phase(chain: Project) -> None:
    path = chain.root / "params" / "pipeline.yaml"
    written = path.read_text()
    path.write_text(f"{written}outcome: [{{scrap: use.twice, max: make.number}}]\n", encoding="utf-8")
    (rule,) = load_pipeline(path).outcome
    assert (rule.phase, rule.scrap, rule.bound) == ("outcome", Reference("use", "twice"), Reference("make", "number"))
    path.write_text(f"{written}outcome: [{{scrap: use.half, max: 1}}]\n", encoding="utf-8")
    assert faults(chain) == [
        "outcome, rule 1: scrap: use documents no scrap half in `scraps`; allowed are twice",
    ]
    path.write_text(f"{written}outcome: []\n", encoding="utf-8")
    assert faults(chain) == ["outcome is []; it must be a list of rules, at least one"]


def test_no_phase_is_called_outcome_where_rules_are(project: Project) -> None:
    phases(project, outcome=[])
    project.pipeline("phases: [outcome]\nscraps: {outcome: {x: y}}\noutcome: [{scrap: outcome.x, max: 1}]\n")
    assert faults(project) == ["outcome gives rules, so no phase can be called outcome"]
