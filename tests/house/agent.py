"""An agent of Azure Pipelines, as far as azure-pipelines.yml needs one: it executes the steps of the file in order.

It does what the service does with conditions, variables, logging commands, templates and artifacts, and refuses what it
does not know. Each job begins without runs/, as on a new machine: only artifacts travel. A server job is not executed.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

SUCCEEDED, ISSUES, FAILED, CANCELED, SKIPPED = "Succeeded", "SucceededWithIssues", "Failed", "Canceled", "Skipped"
_EXPRESSION, _RUNTIME = re.compile(r"\$\{\{(.*?)\}\}"), re.compile(r"\$\[(.*)\]", re.DOTALL)
_MACRO = re.compile(r"\$\(([\w.]+)\)")
_COMMAND = re.compile(r"##vso\[([\w.]+)([^\]]*)\](.*)")
_SET_UP = {"UsePythonVersion@0", "Cache@2", "PublishTestResults@2"}  # what this machine has, and nobody asks for here
_BLOCKED = {"task.uploadsummary", "task.uploadfile", "artifact.upload", "build.updatebuildnumber"}  # where restricted


def read(path: Path) -> dict[str, Any]:
    """Read a pipeline or a template. Every scalar of it is a string."""
    found: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)  # noqa: S506
    return found


def expanded(steps: list[dict[str, Any]], root: Path) -> Iterator[dict[str, Any]]:
    """Give steps with those of the templates in their places."""
    for step in steps:
        if "template" not in step:
            yield step
            continue
        template, given = read(root / step["template"]), step.get("parameters", {})
        assert set(given) == {one["name"] for one in template.get("parameters", [])}, f"{step}: other parameters"
        yield from expanded(filled(template["steps"], {"parameters": Lookup(given)}), root)


def filled(part: Any, context: Mapping[str, Any]) -> Any:
    """Put values in the places of the expressions that the service evaluates when it reads the file."""
    if isinstance(part, str):
        return _EXPRESSION.sub(lambda match: str(evaluate(match[1], context)), part)
    if isinstance(part, list):
        return [filled(one, context) for one in part]
    return {key: filled(one, context) for key, one in part.items()} if isinstance(part, dict) else part


def hooks(job: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Give the lists of steps of a job: `deploy` and `failure` of a deployment, `deploy` alone of any other."""
    if "deployment" not in job:
        return {"deploy": job["steps"]}
    once = job["strategy"]["runOnce"]
    return {"deploy": once["deploy"]["steps"], "failure": once["on"]["failure"]["steps"]}


def script_of(step: dict[str, Any]) -> str | None:
    """Give what bash executes in a step; None where it is no script."""
    inline: str | None = step.get("bash") or step.get("inputs", {}).get("inlineScript")
    return inline


class Lookup(dict[str, Any]):
    """A part of the context of an expression; what is absent is an empty text, as the service has it."""

    def __getattr__(self, name: str) -> Any:
        return self[name]

    def __missing__(self, key: str) -> Any:
        return Lookup() if key not in {"result"} else ""

    def __str__(self) -> str:
        return ""


def evaluate(expression: str, context: Mapping[str, Any]) -> Any:
    """Evaluate an expression: functions, and look-ups such as dependencies.train.outputs['job.step.name']."""

    def same(one: Any, other: Any) -> bool:
        return str(one).lower() == str(other).lower()

    functions = {
        "and_": lambda *values: all(values),
        "or_": lambda *values: any(values),
        "not_": lambda value: not value,
        "eq": same,
        "ne": lambda one, other: not same(one, other),
        "in_": lambda value, *others: any(same(value, other) for other in others),
        "replace": lambda text, old, new: str(text).replace(old, new),
    }
    python = re.sub(r"\b(and|or|not|in)\(", r"\1_(", expression.strip())
    return eval(python, {"__builtins__": {}}, {**functions, **context})  # noqa: S307 - the project's own file


@dataclass
class Job:
    """What a job is about to do, and what came of it."""

    name: str
    variables: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)
    result: str = SUCCEEDED


@dataclass
class Agent:
    """Executes a pipeline in a folder.

    Attributes:
        root: The checkout.
        artifacts: Where published artifacts are kept.
        predefined: What the service sets, such as Build.Reason.
        secrets: What only a macro gives, such as System.AccessToken.
        parameters: What a caller gives instead of the defaults.
        taken_as_done: Stages that are taken as succeeded, without executing them.
        call: How the call of a server job ends.
        dies: Where the machine dies, stage and step, and what has happened by then.
        cancels: Where somebody cancels the build, likewise: the step ends, and those behind it go by their conditions.
    """

    root: Path
    artifacts: Path
    predefined: dict[str, str]
    secrets: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    taken_as_done: frozenset[str] = frozenset()
    call: str = SUCCEEDED
    dies: tuple[str, str, Callable[[], None]] | None = None
    cancels: tuple[str, str, Callable[[], None]] | None = None
    results: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, dict[str, Job]] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    summaries: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def run(self, path: Path) -> dict[str, str]:
        """Execute a pipeline's stages, and give how each ended."""
        pipeline = self._filled_in(read(path))
        self.variables = self.predefined | {one["name"]: one["value"] for one in pipeline["variables"] if "name" in one}
        for stage in pipeline["stages"]:
            self.results[stage["stage"]] = self._stage(stage)
        return self.results

    def _filled_in(self, pipeline: dict[str, Any]) -> dict[str, Any]:
        """Put the parameters in."""
        allowed = {one["name"]: one.get("values") for one in pipeline["parameters"]}
        given = {one["name"]: one["default"] for one in pipeline["parameters"]} | self.parameters
        for name, value in given.items():
            assert allowed[name] is None or value in allowed[name], f"{name}: {value}"
        context = {"parameters": Lookup(given), "variables": Lookup(self.predefined)}

        ready: dict[str, Any] = filled(pipeline, context)
        return ready

    def _stage(self, stage: dict[str, Any]) -> str:
        name, before = stage["stage"], _names(stage.get("dependsOn"))
        outputs = {
            one: Lookup(outputs=Lookup({f"{job.name}.{key}": value for job in self.jobs.get(one, {}).values()
                                        for key, value in job.outputs.items()}), result=self.results[one])
            for one in before
        }  # fmt: skip
        if not self._holds(stage, [self.results[one] for one in before], Lookup(outputs)):
            return SKIPPED
        if name in self.taken_as_done:
            return SUCCEEDED
        self.jobs[name] = {}
        there = Lookup(
            {key: Lookup({job.name: _seen(job) for job in jobs.values()}) for key, jobs in self.jobs.items()}
        )
        variables = self.variables | self._mapped(stage.get("variables", {}), {"stageDependencies": there})
        for job in stage["jobs"]:
            self._job(name, job, variables)
        ended = {job.result for job in self.jobs[name].values()}
        return next((one for one in (CANCELED, FAILED) if one in ended), SUCCEEDED)

    def _job(self, stage: str, job: dict[str, Any], variables: dict[str, str]) -> None:
        name = job.get("job") or job["deployment"]
        done, before = self.jobs[stage], _names(job.get("dependsOn"))
        context = {"dependencies": Lookup({one: _seen(done[one]) for one in before})}
        own = variables | self._mapped(job.get("variables", {}), context)
        new = done[name] = Job(name, own | {"System.StageName": stage, "System.JobName": name})
        if not self._holds(job, [done[one].result for one in before], context["dependencies"], new.variables):
            new.result = SKIPPED
            return
        if job.get("pool") == "server":
            [step] = job["steps"]
            new.result = ISSUES if self.call == FAILED and step.get("continueOnError") == "true" else self.call
            return
        steps = hooks(job)
        self._steps(new, steps["deploy"], prefix=f"{name}." if "deployment" in job else "")
        if new.result == FAILED and "failure" in steps:
            self._steps(Job(name, new.variables), steps["failure"], prefix="")

    def _steps(self, job: Job, steps: list[dict[str, Any]], *, prefix: str) -> None:
        shutil.rmtree(self.root / "runs", ignore_errors=True)  # each job, and each hook, has a machine of its own
        for step in expanded(steps, self.root):
            here = job.variables["System.StageName"], step.get("displayName")
            if self.dies and self.dies[:2] == here:
                self.dies[2]()
                self.dies, job.result = None, FAILED
                return
            if self.cancels and self.cancels[:2] == here:
                self.cancels[2]()
                self.cancels, job.result = None, CANCELED
                continue
            if not self._holds(step, [job.result], Lookup(), job.variables):
                continue
            attempts = 1 + int(step.get("retryCountOnTaskFailure", 0))
            if any(self._step(job, step, prefix) for _ in range(attempts)):
                continue
            if step.get("continueOnError") != "true":
                job.result = CANCELED if job.result == CANCELED else FAILED
            elif job.result == SUCCEEDED:
                job.result = ISSUES

    def _step(self, job: Job, step: dict[str, Any], prefix: str) -> bool:
        if script := script_of(step):
            return self._script(job, step, script, prefix)
        inputs = {key: self._macros(value, job.variables) for key, value in step.get("inputs", {}).items()}
        task = step.get("task", "")
        if task == "PublishPipelineArtifact@1":
            kept = self.artifacts / inputs["artifact"]
            assert not kept.exists(), f"artifact {kept.name} was published before"
            shutil.copytree(self.root / inputs["targetPath"], kept)
        elif task == "DownloadPipelineArtifact@2":
            kept = self.artifacts / inputs["artifactName"]
            if not kept.is_dir():
                return False
            shutil.copytree(kept, self.root / inputs["targetPath"], dirs_exist_ok=True)
        else:
            assert task in _SET_UP or "checkout" in step or "download" in step, f"no agent knows {step}"
        return True

    def _script(self, job: Job, step: dict[str, Any], script: str, prefix: str) -> bool:
        given = {key: self._macros(value, job.variables) for key, value in step.get("env", {}).items()}
        variables = {key.upper().replace(".", "_"): value for key, value in job.variables.items()}
        command = ["bash", "--noprofile", "--norc", "-c", script]
        done = subprocess.run(command, cwd=self.root, env=os.environ | variables | given, capture_output=True,
                              text=True, timeout=300, check=False)  # fmt: skip
        said = done.stdout + done.stderr
        self.executed.append(step.get("displayName", script))
        self.log.append(f"$ {script}\n{said}")
        for found in filter(None, map(_COMMAND.search, said.splitlines())):
            self._obey(job, step, prefix, found)
        return done.returncode == 0

    def _obey(self, job: Job, step: dict[str, Any], prefix: str, found: re.Match[str]) -> None:
        """Do what a logging command asks for, where the step may."""
        target = step.get("target", {})
        command, properties, data = found[1], dict(re.findall(r"(\w+)=([^;]*)", found[2])), _unescaped(found[3])
        if target.get("commands") == "restricted" and command in _BLOCKED:
            return
        if command == "task.setvariable":
            settable = target.get("settableVariables", [properties["variable"]])
            settable = [] if settable == "none" else settable
            name = properties["variable"]
            if name in settable and properties.get("isOutput") == "true":
                job.variables[f"{step['name']}.{name}"] = job.outputs[f"{prefix}{step['name']}.{name}"] = data
            elif name in settable:
                job.variables[name] = data
        elif command == "task.uploadsummary":
            self.summaries.append(Path(data).read_text(encoding="utf-8"))
        else:
            raise AssertionError(f"no agent knows {found[0]}")

    def _holds(
        self, part: dict[str, Any], before: list[str], dependencies: Lookup, variables: dict[str, str] | None = None
    ) -> bool:
        context = {
            "succeeded": lambda: set(before) <= {SUCCEEDED, ISSUES},
            "succeededOrFailed": lambda: CANCELED not in before,
            "canceled": lambda: CANCELED in before,
            "always": lambda: True,
            "variables": Lookup(variables or self.variables),
            "dependencies": dependencies,
        }
        return bool(evaluate(part.get("condition", "succeeded()"), context))

    def _mapped(self, variables: dict[str, str], context: dict[str, Any]) -> dict[str, str]:
        """Evaluate the variables that a stage or job maps from outputs."""
        found = {name: _RUNTIME.fullmatch(value) for name, value in variables.items()}
        return {name: str(evaluate(match[1], context)) if match else variables[name] for name, match in found.items()}

    def _macros(self, text: str, variables: dict[str, str]) -> str:
        known = variables | self.secrets
        for _ in range(3):  # a variable may hold another
            text = _MACRO.sub(lambda match: known.get(match[1], match[0]), text)
        return text


def _names(depends_on: Any) -> list[str]:
    return [depends_on] if isinstance(depends_on, str) else list(depends_on or [])


def _seen(job: Job) -> Lookup:
    return Lookup(outputs=Lookup(job.outputs), result=job.result)


def _unescaped(text: str) -> str:
    for written, character in {"%0D": "\r", "%0A": "\n", "%AZP25": "%"}.items():
        text = text.replace(written, character)
    return text
