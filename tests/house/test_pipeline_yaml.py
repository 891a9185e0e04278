"""azure-pipelines.yml: Microsoft's published schema accepts it, and it breaks no rule of our own."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from . import agent
from . import pipeline_lint as lint

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = agent.read(ROOT / "azure-pipelines.yml")


def as_strings(schema: Any) -> Any:
    """Rewrite a schema so that its scalar types are patterns over strings, honouring `ignoreCase`."""
    if isinstance(schema, list):
        return [as_strings(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = dict(schema)
    if schema.get("type") in ("boolean", "integer", "number"):
        literal = "(?i:true|false)" if schema["type"] == "boolean" else r"-?\d+(\.\d+)?"
        schema |= {"type": "string", "pattern": rf"^(\$[({{\[].*|{literal})$"}
    if "enum" in schema and all(isinstance(value, str) for value in schema["enum"]):
        schema["pattern"] = rf"^(\$[({{\[].*|{'|'.join(map(re.escape, schema.pop('enum')))})$"
    if schema.get("ignoreCase") in ("value", "all") and "pattern" in schema:
        schema["pattern"] = f"(?i){schema['pattern']}"
    return {key: part if key in ("pattern", "description") else as_strings(part) for key, part in schema.items()}


@pytest.fixture(scope="module")
def validator(shared_dir: Path) -> Draft7Validator:
    published = (shared_dir / "contracts" / "azure-pipelines-service-schema.json").read_text(encoding="utf-8")
    return Draft7Validator(as_strings(json.loads(published)))


def with_change(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Give a copy of the pipeline with a change."""
    pipeline = deepcopy(PIPELINE)
    change(pipeline)
    return pipeline


def stage(pipeline: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in pipeline["stages"] if one["stage"] == name)


def production(pipeline: dict[str, Any]) -> dict[str, Any]:
    """Give the deployment to production."""
    found: dict[str, Any] = stage(pipeline, "production")["jobs"][0]
    return found


def once(pipeline: dict[str, Any]) -> dict[str, Any]:
    """Give the hooks of that deployment."""
    found: dict[str, Any] = production(pipeline)["strategy"]["runOnce"]
    return found


def script_with(pipeline: dict[str, Any], words: str) -> dict[str, Any]:
    """Give the first step whose script has these words, behind the small run."""
    return next(
        step for place, step in lint.steps_of(pipeline) if words in step.get("bash", "") and "small" not in place
    )


def replace(step: dict[str, Any], old: str, new: str) -> None:
    assert old in step["bash"]
    step["bash"] = step["bash"].replace(old, new)


@pytest.mark.needs_shared
@pytest.mark.parametrize("template", sorted((ROOT / ".ci" / "steps").glob("*.yml")), ids=lambda path: path.name)
def test_microsofts_schema_accepts_it(validator: Draft7Validator, template: Path) -> None:
    for document in (PIPELINE, agent.read(template)):
        faults = list(validator.iter_errors(document))
        assert [f"{list(fault.absolute_path)}: {fault.message[:200]}" for fault in faults] == []


@pytest.mark.needs_shared
@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.update(stagez=it.pop("stages")),
        lambda it: script_with(it, "trey release").update(dislayName="x"),
        lambda it: stage(it, "production").update(lockBehavior="sequentially"),
        lambda it: production(it).update(enviroment="x"),
    ],
    ids=["stages", "a key of a step", "a value", "a key of a deployment"],
)
def test_microsofts_schema_refuses_a_misspelling(validator: Draft7Validator, change: Callable[..., object]) -> None:
    assert list(validator.iter_errors(with_change(change)))


@pytest.mark.parametrize("rule", [lint.order, lint.deployments, lint.outputs, lint.commands, lint.words])
def test_it_breaks_no_rule_of_ours(rule: Callable[..., list[str]]) -> None:
    assert rule(PIPELINE) == []


CHANGES: dict[str, tuple[Callable[..., list[str]], Callable[[dict[str, Any]], object]]] = {
    "waits for trian": (lint.order, lambda it: stage(it, "staging").update(dependsOn="trian")),
    "does not stand before it": (lint.order, lambda it: it["stages"].reverse()),
    "wait is there twice": (lint.order, lambda it: stage(it, "train")["jobs"][2].update(job="wait")),
    "lacks an environment": (lint.deployments, lambda it: production(it).pop("environment")),
    "lacks lockBehavior": (lint.deployments, lambda it: stage(it, "production").pop("lockBehavior")),
    "lacks steps on failure": (lint.deployments, lambda it: once(it)["on"]["failure"].update(steps=[])),
    "lacks a way back on cancellation": (
        lint.deployments,
        lambda it: [step.pop("condition", None) for step in once(it)["deploy"]["steps"]],
    ),
    "to_production lacks a way back on cancellation": (
        lint.deployments,
        lambda it: replace(script_with(it, "rollback --env production"), "production", "staging"),
    ),
    "lacks a strategy": (lint.deployments, lambda it: once(it)["deploy"].update(steps=[])),
    "nothing sets train|collect.decision.ok": (
        lint.outputs,
        lambda it: stage(it, "staging").update(condition="eq(dependencies.train.outputs['collect.decision.ok'], 'x')"),
    ),
    "relase": (lint.commands, lambda it: replace(script_with(it, "trey release"), "trey release", "trey relase")),
    "--because": (lint.commands, lambda it: replace(script_with(it, "--reason"), "--reason", "--because")),
    ".ci/counts.py does not exist": (
        lint.commands,
        lambda it: stage(it, "small")["jobs"][0]["steps"][1].update(bash="python3 .ci/counts.py"),
    ),
    "no such target": (
        lint.commands,
        lambda it: stage(it, "small")["jobs"][0]["steps"][1].update(bash="make secret"),
    ),
    "a macro or a parameter": (lint.words, lambda it: replace(script_with(it, "--reason"), '"$REASON"', '"$(reason)"')),
    "trey decision may print": (lint.words, lambda it: script_with(it, "--variables")["target"].pop("commands")),
    "restrict the step's target": (lint.words, lambda it: script_with(it, "release").pop("target")),
}


@pytest.mark.parametrize("fault", CHANGES)
def test_our_rules_catch_what_they_are_for(fault: str) -> None:
    rule, change = CHANGES[fault]
    assert fault in "; ".join(rule(with_change(change)))


def test_what_a_caller_types_is_data_until_the_end() -> None:
    """A caller of the REST API may type anything: no part of it is executed, and no macro of it is replaced."""
    typed = 'https://x"; touch owned; echo "$(touch owned) `touch owned`'
    [words] = lint.calls(script_with(PIPELINE, "--reason")["bash"], source=typed)
    assert f'prepare.source="{typed}"' in words
    for name in ("reason", "source"):
        [value] = [one["value"] for one in PIPELINE["variables"] if one.get("name") == name]
        filled = agent.evaluate(value.strip("${} "), {"parameters": agent.Lookup({name: "$$(( $(System.AccessToken)"})})
        assert filled == "(( (System.AccessToken)"


def test_only_production_has_the_connection_that_may_write_there() -> None:
    connections: dict[str, set[str]] = {}
    for place, step in lint.steps_of(PIPELINE):
        inputs = step.get("inputs", {})
        given = inputs.get("azureSubscription") or inputs.get("azureServiceConnection")
        if given:
            connections.setdefault(given, set()).add(place.split(".")[0])
    assert connections == {"trey-train": {"train", "staging"}, "trey-production": {"production"}}


def test_a_caller_names_no_file_of_the_agent() -> None:
    with pytest.raises(AssertionError, match="source is /proc/self/environ; a caller may name azureml:"):
        lint.calls(script_with(PIPELINE, "--reason")["bash"], source="/proc/self/environ")


@pytest.mark.parametrize("call", [agent.SUCCEEDED, agent.FAILED])
def test_however_the_wait_ended_the_job_itself_is_asked(tmp_path: Path, call: str) -> None:
    """Azure ML fails the call where a gate stopped the job, and may never make it: neither fails the stage."""
    jobs = {lint.name_of(job): job for job in stage(PIPELINE, "train")["jobs"]}
    here = agent.Agent(tmp_path, tmp_path, {}, call=call)
    here.variables = {"engine": "azureml"}
    done = here.jobs["train"] = {"submit": agent.Job("submit", {}, {"submit.run": "one"}, agent.ISSUES)}
    here._job("train", jobs["wait"], here.variables)
    assert done["wait"].result == (agent.SUCCEEDED if call == agent.SUCCEEDED else agent.ISSUES)
    before = agent.Lookup({name: agent.Lookup(result=one.result) for name, one in done.items()})
    assert here._holds(jobs["collect"], [one.result for one in done.values()], before)
    outputs = agent.Lookup({"collect.decision.releasable": "true"})
    train = agent.Lookup(train=agent.Lookup(outputs=outputs))
    here.variables["Build.SourceBranch"] = "refs/heads/main"
    assert here._holds(stage(PIPELINE, "staging"), [agent.ISSUES], train)


@pytest.mark.parametrize(("branch", "goes"), [("refs/heads/main", True), ("refs/heads/idea", False)])
def test_a_branch_that_somebody_runs_by_hand_is_judged_and_releases_nothing(branch: str, goes: bool) -> None:
    outputs = agent.Lookup({"collect.decision.releasable": "true"})
    context = {
        "succeeded": lambda: True,
        "variables": agent.Lookup({"Build.SourceBranch": branch}),
        "dependencies": agent.Lookup(train=agent.Lookup(outputs=outputs)),
    }
    assert agent.evaluate(stage(PIPELINE, "staging")["condition"], context) is goes


def test_the_params_files_that_it_offers_exist() -> None:
    [offered] = [one for one in PIPELINE["parameters"] if one["name"] == "params"]
    assert offered["default"] in offered["values"]
    assert [name for name in offered["values"] if not (ROOT / name).is_file()] == []
