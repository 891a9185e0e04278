"""Reads pipeline.yaml and its notebooks: phases, the graph between them, and the gates.

The graph is not written down anywhere: a parameter `<phase>_dir` of a notebook is an edge from that phase.
"""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from runner import gates, notebook, yaml_file
from runner.errors import BadRequest
from runner.gates import Reference, Rule
from runner.notebook import Notebook

RESERVED = ("output_dir", "gates_path", "sign_offs_path", "run_id")
SHARED = "all"
_KEYS = (
    "notebooks",
    "runs",
    "lock",
    "phases",
    "standalone",
    "gates",
    "outcome",
    "uses",
    "variables",
    "checks",
    "external",
    "scraps",
    "timeouts",
    "retries",
    "release",
)
_MOST_RETRIES = 10
_MOST_DAYS = 366
_WHERE = Path("params") / "pipeline.yaml"


@dataclass(frozen=True)
class ReleasePolicy:
    """How a run is released.

    Attributes:
        phase: The phase that `trey release` executes; its notebook declares `environment`.
        allow_self_approval: Whether authors may approve their own run and waive rules of it, as a team of one must.
        approval_days: How long an approval holds.
        trial: Environments that a run may name by itself; to any other only `trey release` leads. Empty for all.
        environments: The others; a name that is in neither is refused as misspelt. Empty for any.
    """

    phase: str = "deploy"
    allow_self_approval: bool = False
    approval_days: float = 7.0
    trial: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pipeline:
    """A lifecycle, checked.

    Attributes:
        path: The pipeline.yaml it was read from.
        order: Its phases such that each comes after those it reads.
        standalone: Phases that no run executes, but `trey phase` alone; they may read all others.
        notebooks: The notebook of each phase.
        edges: The phases that each phase reads, in the order of its parameters.
        gates: The rules of each guarded phase; an empty list refuses.
        outcome: The rules that must hold after the last phase, or the run is no release; none where nothing must.
        uses: Modules that a phase uses without importing them.
        variables: Environment variables that count as inputs of a phase.
        checks: For some phases, `module:function` that gives what is wrong with the parameters, before anything starts.
        external: For each scheme, `module:function` that tells the state of a place.
        scraps: What each phase glues, and what it means.
        timeouts: Seconds that a phase may take; a phase that is not named may take any.
        retries: How often a phase may start again after its kernel died; a phase that is not named may not.
        release: Which phase releases, and what an approval needs.
    """

    path: Path
    order: tuple[str, ...]
    standalone: tuple[str, ...]
    notebooks: Mapping[str, Notebook]
    edges: Mapping[str, tuple[str, ...]]
    gates: Mapping[str, tuple[Rule, ...]]
    outcome: tuple[Rule, ...]
    uses: Mapping[str, tuple[str, ...]]
    variables: Mapping[str, tuple[str, ...]]
    checks: Mapping[str, str]
    external: Mapping[str, str]
    scraps: Mapping[str, Mapping[str, str]]
    timeouts: Mapping[str, float]
    retries: Mapping[str, int]
    release: ReleasePolicy
    runs: Path
    lock: Path | None

    @property
    def root(self) -> Path:
        """The project: the folder that holds the folder of pipeline.yaml."""
        return self.path.parent.parent

    def given_variables(self, phase: str) -> dict[str, str]:
        """Give the environment variables that count for a phase, as they are set now."""
        return {name: os.environ[name] for name in self.variables.get(phase, ()) if name in os.environ}

    @property
    def every(self) -> tuple[str, ...]:
        """All phases, also those that no run executes."""
        return self.order + self.standalone

    def before(self, phase: str) -> tuple[str, ...]:
        """Give the phases that come before this one in the order."""
        return self.order if phase in self.standalone else self.order[: self.order.index(phase)]


def locate(path: Path | None, start: Path) -> Path:
    """Give the pipeline.yaml that was asked for, or else the nearest `params/pipeline.yaml` at or above `start`.

    Raises:
        BadRequest: There is none.
    """
    if path is not None:
        if not (start / path).is_file():
            raise BadRequest(f"there is no file {path}", next_step="trey run --pipeline PATH/pipeline.yaml")
        return (start / path).resolve()
    for folder in (start, *start.resolve().parents):
        if (folder / _WHERE).is_file():
            return (folder / _WHERE).resolve()
    raise BadRequest(f"there is no {_WHERE} in {start} or above it", next_step="trey run --pipeline PATH/pipeline.yaml")


def runs_folder(pipeline: Path) -> Path:
    """Give the folder of runs that a pipeline.yaml names, without reading its notebooks.

    Raises:
        BadRequest: The file cannot be read.
    """
    try:
        named = yaml_file.read_mapping(pipeline).get("runs", "../runs")
    except ValueError as error:
        raise BadRequest(str(error), next_step=f"mend {pipeline}") from None
    return (pipeline.parent / str(named)).resolve()


def load_pipeline(path: Path) -> Pipeline:
    """Read and check a pipeline.yaml and the notebooks it names.

    Raises:
        BadRequest: Something in them is wrong; every fault is listed.
    """
    path = path.resolve()
    step = f"mend {path} and type: trey plan"
    try:
        content = yaml_file.read_mapping(path)
    except ValueError as error:
        raise BadRequest(str(error), next_step=step) from None
    reader = _Reader(path, content)
    pipeline = reader.pipeline()
    if pipeline is None or reader.faults:
        step = f"mend {reader.unreadable[0]} and type: trey plan" if reader.unreadable else step
        raise BadRequest(*(f"{path.name}: {fault}" for fault in reader.faults), next_step=step)
    return pipeline


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Give what to add to a message about an unknown name: the nearest known one, or all of them."""
    known = list(known)
    near = get_close_matches(str(name), known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"allowed are {', '.join(known)}" if known else "none is allowed"


class _Reader:
    """Reads the parts of one file and collects what is wrong with them."""

    def __init__(self, path: Path, content: dict[Any, Any]):
        self.path = path
        self.content = content
        self.faults: list[str] = []
        self.unreadable: list[Path] = []  # notebooks
        self.phases: list[str] = []
        self.standalone: list[str] = []
        self.scraps: dict[str, dict[str, str]] = {}

    @property
    def every(self) -> list[str]:
        return [*self.phases, *self.standalone]

    def pipeline(self) -> Pipeline | None:
        for key in self.content:
            if key not in _KEYS:
                self.faults.append(f"{key!r} is no key; {did_you_mean(key, _KEYS)}")
        self.phases, self.standalone = self._phases()
        notebooks = self._notebooks()
        self.scraps = {
            phase: self._texts(f"scraps.{phase}", words) for phase, words in self._by_phase("scraps").items()
        }
        edges = self._edges(notebooks)
        order = self._order(edges)
        if not order:
            return None
        return Pipeline(
            path=self.path,
            order=order,
            standalone=tuple(self.standalone),
            notebooks=notebooks,
            edges=edges,
            gates=self._gates(order),
            outcome=self._outcome(order),
            uses={phase: self._modules(phase, names) for phase, names in self._by_phase("uses").items()},
            variables={
                phase: self._names(f"variables.{phase}", names) for phase, names in self._by_phase("variables").items()
            },
            checks=self._functions("checks", self._by_phase("checks")),
            external=self._functions("external", self.content.get("external") or {}),
            scraps=self.scraps,
            timeouts=self._timeouts(),
            retries=self._retries(),
            release=self._release(),
            runs=self._file("runs", "../runs") or self.path.parent,
            lock=self._lock(),
        )

    def _phases(self) -> tuple[list[str], list[str]]:
        phases = self._names("phases", self.content.get("phases"))
        if not phases and not self.faults:
            self.faults.append("phases names no phase; give the names of the notebooks, such as [prepare, train]")
        standalone = self._names("standalone", self.content.get("standalone"))
        every = [*phases, *standalone]
        for name in every:
            if not name.isidentifier() or name == SHARED:
                said = f"{name!r} cannot be a phase; a phase is a Python name other than {SHARED!r}"
                self.faults.append(f"{said}, and its notebook is called the same")
        for name in {name for name in every if every.count(name) > 1}:
            self.faults.append(f"phase {name} is given twice")
        return list(dict.fromkeys(phases)), [name for name in dict.fromkeys(standalone) if name not in phases]

    def _notebooks(self) -> dict[str, Notebook]:
        folder = self._file("notebooks", "../notebooks")
        notebooks: dict[str, Notebook] = {}
        if folder is None:
            return notebooks
        for phase in self.every:
            try:
                notebooks[phase] = notebook.read(folder / f"{phase}.ipynb")
                notebooks[phase].parameters  # noqa: B018  # parsed now, so that its faults are told with the others
                notebooks[phase].check_tags()
            except BadRequest as error:
                self.faults.extend(error.faults)
                self.unreadable.append(folder / f"{phase}.ipynb")
        return notebooks

    def _edges(self, notebooks: dict[str, Notebook]) -> dict[str, tuple[str, ...]]:
        edges = {}
        for phase in self.every:
            try:
                declared = list(notebooks[phase].parameters) if phase in notebooks else []
            except BadRequest:
                declared = []
            folders = [name.removesuffix("_dir") for name in declared if name.endswith("_dir") and name not in RESERVED]
            edges[phase] = tuple(name for name in folders if name in self.phases)
            for name in folders:
                self._check_edge(phase, name, notebooks)
        return edges

    def _check_edge(self, phase: str, name: str, notebooks: dict[str, Notebook]) -> None:
        """Tell a parameter that was meant as an edge from one that is a folder of its own."""
        if name in self.phases:
            return
        if (notebooks[phase].path.parent / f"{name}.ipynb").is_file():
            self.faults.append(f"{phase} reads {name}_dir, and {name}.ipynb exists, but phases does not name {name}")
        elif near := get_close_matches(name, self.phases, n=1, cutoff=0.85):
            self.faults.append(f"{phase} reads {name}_dir, but there is no phase {name}; did you mean {near[0]}_dir?")

    def _order(self, edges: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
        """Sort so that each phase comes after those it reads, and otherwise as they are listed."""
        sorter = TopologicalSorter({phase: edges[phase] for phase in self.phases})
        try:
            sorter.prepare()
        except CycleError as error:
            self.faults.append(f"the phases read each other in a circle: {' → '.join(reversed(error.args[1]))}")
            return ()
        order: list[str] = []
        ready: list[str] = []
        while sorter.is_active():
            ready = sorted([*ready, *sorter.get_ready()], key=self.phases.index)
            order.append(ready.pop(0))
            sorter.done(order[-1])
        return tuple(order)

    def _gates(self, order: tuple[str, ...]) -> dict[str, tuple[Rule, ...]]:
        guarded = {}
        for phase, rules in self._by_phase("gates").items():
            if phase in self.standalone:
                self.faults.append(f"gates names {phase}, which no run executes; guard one of {', '.join(order)}")
                continue
            if not isinstance(rules, list | None):
                self.faults.append(f"gates.{phase} is {type(rules).__name__}; it must be a list of rules")
                continue
            earlier = order[: order.index(phase)]
            parsed = [self._rule(phase, number, rule, earlier) for number, rule in enumerate(rules or [], start=1)]
            guarded[phase] = tuple(rule for rule in parsed if rule)
        return guarded

    def _outcome(self, order: tuple[str, ...]) -> tuple[Rule, ...]:
        rules = self.content.get(gates.OUTCOME)
        if rules is None:
            return ()
        if not isinstance(rules, list) or not rules:
            self.faults.append(f"outcome is {rules!r}; it must be a list of rules, at least one")
            return ()
        if gates.OUTCOME in order:
            self.faults.append("outcome gives rules, so no phase can be called outcome")
        parsed = [self._rule(gates.OUTCOME, number, rule, order) for number, rule in enumerate(rules, start=1)]
        return tuple(rule for rule in parsed if rule)

    def _rule(self, phase: str, number: int, rule: Any, earlier: tuple[str, ...]) -> Rule | None:
        where = f"{phase}, rule {number}" if phase == gates.OUTCOME else f"gates.{phase}, rule {number}"
        count = len(self.faults)
        if not isinstance(rule, dict):
            self.faults.append(f"{where}: {rule!r} is no rule, such as {{scrap: {phase}.name, min: 0.9}}")
            return None
        for key in rule:
            if key not in gates.KEYS:
                self.faults.append(f"{where}: {key!r} is no key; {did_you_mean(key, gates.KEYS)}")
        kinds = [kind for kind in gates.KINDS if kind in rule]
        if len(kinds) != 1:
            self.faults.append(f"{where}: {' and '.join(kinds) or 'no bound'} given; exactly one of min, max, equals")
        references = {
            key: self._reference(f"{where}: {key}", rule[key], earlier)
            for key in ("scrap", "estimate", "n", "about")
            if key in rule
        }
        if "scrap" not in rule:
            self.faults.append(f"{where}: no scrap is named")
        bounds = {kind: self._bound(f"{where}: {kind}", kind, rule[kind], earlier) for kind in kinds}
        self._check_words(where, rule)
        if "estimate" in rule and "equals" in rule:
            self.faults.append(f"{where}: an estimate says nothing about equality; leave it out")
        scrap = references.get("scrap")
        if scrap and isinstance(rule.get("when"), str) and rule["when"].isidentifier():
            self._reference(f"{where}: when", f"{scrap.phase}.{rule['when']}", earlier)
        if len(self.faults) > count or scrap is None:
            return None
        kind, bound = next(iter(bounds.items()))
        return Rule(
            phase,
            scrap,
            kind,
            bound,
            references.get("estimate"),
            references.get("n"),
            rule.get("why"),
            rule.get("when"),
            references.get("about"),
        )

    def _check_words(self, where: str, rule: dict[Any, Any]) -> None:
        if not isinstance(rule.get("why"), str | None):
            self.faults.append(f"{where}: why is {rule['why']!r}; it must be a sentence")
        if "when" in rule and not (isinstance(rule["when"], str) and rule["when"].isidentifier()):
            told = "it must name a scrap of the same phase that is true or false"
            self.faults.append(f"{where}: when is {rule['when']!r}; {told}")

    def _bound(self, where: str, kind: str, value: Any, earlier: tuple[str, ...]) -> Any:
        is_reference = isinstance(value, str) and value.partition(".")[0] in self.phases and "." in value
        if is_reference or (kind != "equals" and isinstance(value, str)):
            return self._reference(where, value, earlier)
        try:
            gates.check_bound(kind, value)
        except ValueError as error:
            self.faults.append(f"{where} {error}")
        return value

    def _reference(self, where: str, value: Any, earlier: tuple[str, ...]) -> Reference | None:
        phase, _, scrap = value.partition(".") if isinstance(value, str) else ("", "", "")
        if not phase or not scrap:
            self.faults.append(f"{where} is {value!r}; it must be phase.scrap")
        elif phase not in self.phases:
            self.faults.append(f"{where} names the phase {phase}; {did_you_mean(phase, self.phases)}")
        elif scrap not in self.scraps.get(phase, {}):
            known = self.scraps.get(phase, {})
            self.faults.append(f"{where}: {phase} documents no scrap {scrap} in `scraps`; {did_you_mean(scrap, known)}")
        elif phase not in earlier:
            self.faults.append(f"{where} looks at {phase}, which does not come before the guarded phase")
        else:
            return Reference(phase, scrap)
        return None

    def _by_phase(self, key: str) -> dict[str, Any]:
        """Give a mapping from phases to something."""
        entries = self.content.get(key) or {}
        if not isinstance(entries, dict):
            self.faults.append(f"{key} is {type(entries).__name__}; it must be a mapping from phases")
            return {}
        for phase in entries:
            if phase not in self.every:
                self.faults.append(f"{key} names the phase {phase}; {did_you_mean(phase, self.every)}")
        return {phase: entry for phase, entry in entries.items() if phase in self.every}

    def _timeouts(self) -> dict[str, float]:
        timeouts = {}
        for phase, seconds in self._by_phase("timeouts").items():
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
                self.faults.append(f"timeouts.{phase} is {seconds!r}; it must be a number of seconds above 0")
            else:
                timeouts[phase] = float(seconds)
        return timeouts

    def _retries(self) -> dict[str, int]:
        retries = {}
        for phase, times in self._by_phase("retries").items():
            if isinstance(times, bool) or not isinstance(times, int) or not 0 <= times <= _MOST_RETRIES:
                self.faults.append(f"retries.{phase} is {times!r}; it must be a whole number from 0 to {_MOST_RETRIES}")
            else:
                retries[phase] = times
        return retries

    def _release(self) -> ReleasePolicy:
        known = ReleasePolicy()
        given = self.content.get("release", {})
        if not isinstance(given, dict):
            self.faults.append(f"release is {type(given).__name__}; it must be a mapping, such as {{approval_days: 7}}")
            return known
        keys = [entry.name for entry in fields(ReleasePolicy)]
        self.faults += [f"release: {key!r} is no key; {did_you_mean(key, keys)}" for key in given if key not in keys]
        phase, allow = given.get("phase", known.phase), given.get("allow_self_approval", known.allow_self_approval)
        days = given.get("approval_days", known.approval_days)
        trial = self._names("release.trial", given.get("trial"))
        if "trial" in given and given["trial"] in (None, []):
            self.faults.append("release.trial is empty; name environments, or leave it out, which allows every one")
        environments = self._names("release.environments", given.get("environments"))
        if "phase" in given and phase not in self.every:
            self.faults.append(f"release.phase names {phase!r}; {did_you_mean(phase, self.every)}")
        if not isinstance(allow, bool):
            self.faults.append(f"release.allow_self_approval is {allow!r}; it must be true or false")
        if isinstance(days, bool) or not isinstance(days, int | float) or not 0 < days <= _MOST_DAYS:
            self.faults.append(f"release.approval_days is {days!r}; it must be above 0 and at most {_MOST_DAYS}")
            return known
        return ReleasePolicy(str(phase), allow is True, float(days), trial, environments)

    def _functions(self, key: str, entries: Any) -> dict[str, str]:
        functions = self._texts(key, entries)
        for whose, function in functions.items():
            module, _, name = function.partition(":")
            if not module or not name.isidentifier():
                self.faults.append(f"{key}.{whose} is {function!r}; it must be module:function")
        return functions

    def _modules(self, phase: str, names: Any) -> tuple[str, ...]:
        modules = self._names(f"uses.{phase}", names)
        for name in modules:
            place = self.path.parent.parent.joinpath(*name.split("."))
            if not place.is_dir() and not place.with_name(f"{place.name}.py").is_file():
                self.faults.append(f"uses.{phase} names {name}, which is no module of the project")
        return modules

    def _texts(self, where: str, entries: Any) -> dict[str, str]:
        if not isinstance(entries, dict) or not all(isinstance(part, str) for pair in entries.items() for part in pair):
            self.faults.append(f"{where} must be a mapping from names to texts")
            return {}
        return entries

    def _names(self, where: str, entries: Any) -> tuple[str, ...]:
        if not isinstance(entries, list | None) or not all(isinstance(entry, str) for entry in entries or []):
            self.faults.append(f"{where} must be a list of names")
            return ()
        return tuple(entries or [])

    def _file(self, key: str, default: str | None) -> Path | None:
        value = self.content.get(key, default)
        if value is None:
            return None
        if not isinstance(value, str):
            self.faults.append(f"{key} is {value!r}; it must be a path, relative to {self.path.name}")
            return None
        return (self.path.parent / value).resolve()

    def _lock(self) -> Path | None:
        lock = self._file("lock", None)
        if lock and not lock.is_file():
            self.faults.append(f"lock names {lock}, which is no file")
        return lock
