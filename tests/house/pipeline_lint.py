"""What Microsoft's schema of azure-pipelines.yml does not ask. Each function gives the faults that it finds."""

import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from runner.cli import main
from runner.cli.decision import OUTPUTS

from .agent import expanded, hooks, script_of

ROOT = Path(__file__).resolve().parents[2]
_SETS = re.compile(r"task\.setvariable variable=(\w+);isOutput=true")
_OUTPUT = re.compile(r"[dD]ependencies\.(\w+)(?:\.(\w+))?\.outputs\['([\w.]+)'\]")
_RECORDER = '#!/bin/bash\nprintf "%q " "$@" >> "$TREY_CALLS"\nprintf "\\n" >> "$TREY_CALLS"\n'


def name_of(job: dict[str, Any]) -> str:
    """Give the name of a job or of a deployment."""
    return str(job.get("job") or job.get("deployment"))


def steps_of(pipeline: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each step with the place it stands in, those of templates included."""
    for stage in pipeline["stages"]:
        for job in stage["jobs"]:
            for hook, steps in hooks(job).items():
                for step in expanded(steps, ROOT):
                    yield f"{stage['stage']}.{name_of(job)}.{hook}", step


def order(pipeline: dict[str, Any]) -> list[str]:
    """Find stages and jobs that wait for what does not exist, or stands after them, and names given twice."""
    faults = _order("stage", [(one["stage"], one.get("dependsOn")) for one in pipeline["stages"]])
    for stage in pipeline["stages"]:
        faults += _order(f"{stage['stage']}: job", [(name_of(job), job.get("dependsOn")) for job in stage["jobs"]])
    return faults


def deployments(pipeline: dict[str, Any]) -> list[str]:
    """Find deployments without a strategy, an environment or a way back, and stages of them that may overlap."""
    faults = []
    for stage in pipeline["stages"]:
        for job in (one for one in stage["jobs"] if "deployment" in one):
            once = job.get("strategy", {}).get("runOnce", {})
            lacks = {
                "an environment": job.get("environment"),
                "a strategy that deploys": once.get("deploy", {}).get("steps"),
                "steps on failure": once.get("on", {}).get("failure", {}).get("steps"),
                "a way back on cancellation": _way_back(once.get("deploy", {}).get("steps", []), stage["stage"]),
                "lockBehavior: sequential in its stage": stage.get("lockBehavior") == "sequential",
            }
            faults += [f"{name_of(job)} lacks {what}" for what, there in lacks.items() if not there]
    return faults


def _way_back(steps: list[dict[str, Any]], environment: str) -> bool:
    """Tell whether, behind the release to an environment, a step of a cancelled job takes it back."""
    released = False
    for step in steps:
        script = script_of(step) or ""
        released = released or f'trey release "$RUN" --to {environment}' in script
        is_back = f'trey rollback --env {environment} --of "$RUN"' in script
        if released and is_back and step.get("condition") == "canceled()":
            return True
    return False


def commands(pipeline: dict[str, Any]) -> list[str]:
    """Find what is called and does not exist here: commands of trey, their options, targets of make, files of .ci."""
    targets = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    faults = []
    for place, step in steps_of(pipeline):
        script = script_of(step) or ""
        faults += [f"{place}: {fault}" for words in calls(script) if (fault := _parse_fault(words))]
        faults += [
            f"{place}: make {name}: no such target"
            for name in re.findall(r"^make ([\w./ -]+?)(?: \w+=.*)?$", script, re.MULTILINE)
            if not set(name.split()) <= targets
        ]
        faults += [
            f"{place}: {path} does not exist"
            for path in re.findall(r"\.ci/[\w.-]+", script)
            if not (ROOT / path).is_file()
        ]
    return faults


def calls(script: str, *, source: str = "azureml:parts:7") -> list[list[str]]:
    """Give the words of each call of trey in a script: bash executes it, with a trey that writes them down."""
    if ".venv/bin/trey" not in script:
        return []
    with tempfile.TemporaryDirectory() as folder:
        recorder, told = Path(folder, ".venv", "bin", "trey"), Path(folder, "calls")
        recorder.parent.mkdir(parents=True)
        recorder.write_text(_RECORDER)
        recorder.chmod(0o755)
        known = set(re.findall(r"\$([A-Z_]{3,})\b", script)) - {"PWD"}
        environment = dict.fromkeys(known, "some words") | {"SOURCE": source, "ENGINE": "azureml"}
        environment |= {"PATH": os.defpath, "TREY_CALLS": str(told)}
        done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return [shlex.split(line) for line in told.read_text().splitlines()]


def words(pipeline: dict[str, Any]) -> list[str]:
    """Find scripts into which somebody's words are written, and steps whose output could command the agent.

    A macro or a parameter inside a script is replaced before bash reads it: what a caller typed would be executed. What
    notebooks say may hold `##vso[…]`; where it is printed, the step may set no variable that is not named.
    """
    faults = []
    for place, step in steps_of(pipeline):
        script = script_of(step) or ""
        if re.search(r"\$\(\w+(\.\w+)+\)|\$\(\w+\)|\$\{\{", script):
            faults.append(f"{place}: the script holds a macro or a parameter; read an environment variable instead")
        target = step.get("target", {})
        if called := calls(script):  # whatever it is, it may print words of data and of notebooks
            restricted = target.get("commands") == "restricted" and "settableVariables" in target
            said = "may print what the agent obeys; restrict the step's target and name the variables that it sets"
            faults += [] if restricted else [f"{place}: trey {called[0][0]} {said}"]
    return faults


def outputs(pipeline: dict[str, Any]) -> list[str]:
    """Find look-ups of output variables that no step sets; the service would take them for empty."""
    known: set[str] = set()
    for stage in pipeline["stages"]:
        for job in stage["jobs"]:
            prefix = f"{name_of(job)}." if "deployment" in job else ""
            for step in expanded(hooks(job)["deploy"], ROOT):
                script = script_of(step) or ""
                names = set(_SETS.findall(script)) | (set(OUTPUTS) if " --variables" in script else set())
                for key in (f"{prefix}{step.get('name')}.{name}" for name in names):
                    known |= {f"{name_of(job)}|{key}", f"{stage['stage']}|{name_of(job)}.{key}"}
                    known.add(f"{stage['stage']}.{name_of(job)}|{key}")
    found = [
        f"{'.'.join(filter(None, match[:2]))}|{match[2]}"
        for text in _texts(pipeline)
        for match in _OUTPUT.findall(text)
    ]
    assert found
    return [f"nothing sets {one}" for one in found if one not in known]


def _order(kind: str, named: list[tuple[str, Any]]) -> list[str]:
    faults, seen = [], set[str]()
    for name, depends_on in named:
        wanted = [depends_on] if isinstance(depends_on, str) else depends_on or []
        faults += [
            f"{kind} {name} waits for {one}, which does not stand before it" for one in wanted if one not in seen
        ]
        faults += [f"{kind} {name} is there twice"] if name in seen else []
        seen.add(name)
    return faults


def _parse_fault(words: list[str]) -> str:
    """Say what click has against a call; empty where it would be understood."""
    context = click.Context(main)
    command = main.get_command(context, words[0]) if words else None
    if command is None:
        return f"trey {shlex.join(words)}: no such command"
    try:
        command.make_context(words[0], words[1:], parent=context)
    except click.UsageError as error:
        return f"trey {shlex.join(words)}: {error.format_message()}"
    return ""


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    for one in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _texts(one)
