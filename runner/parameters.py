"""Resolves the parameters of every phase: what notebooks declare, what params files and --set override, all checked.

The only place where parameter values are read, converted and made absolute.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import annotations, references, yaml_file
from runner.errors import BadRequest
from runner.notebook import REQUIRED, TAG, Parameter
from runner.pipeline import RESERVED, SHARED, Pipeline, did_you_mean

DEFAULTS = "default.yaml"
_LEFT_ALONE = ("generated:", "azureml:")


@dataclass(frozen=True)
class Layer:
    """Values from one place. Later layers win.

    Attributes:
        origin: The file, or `--set name=value`.
        base: The folder that its relative paths start from.
        values: By phase (or `all`), then by name.
    """

    origin: str
    base: Path
    values: Mapping[str, Mapping[str, Any]]


def resolve(
    pipeline: Pipeline, files: Sequence[Path], sets: Sequence[str], cwd: Path, phases: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Give the value of each parameter of each phase, but for those that the runner fills itself.

    Args:
        pipeline: Whose notebooks declare the parameters.
        files: Params files; the default.yaml beside pipeline.yaml is loaded before them.
        sets: `phase.name=value`, the value in YAML.
        cwd: The folder that `files` and the paths in `sets` start from.
        phases: Those that are to run: their values must be there.

    Raises:
        BadRequest: Something is unknown, mistyped or missing; every fault is listed.
    """
    faults: list[str] = []
    layers = [*_file_layers(pipeline, files, cwd, faults), *_set_layers(sets, cwd, faults)]
    return _resolved(pipeline, layers, phases, faults)


def resolve_again(
    pipeline: Pipeline, origin: str, values: Mapping[str, Mapping[str, Any]], phases: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Give the values that an earlier run had; a parameter that was declared since then has its default.

    Args:
        pipeline: Whose notebooks declare the parameters now.
        origin: What faults name as the place of the values.
        values: Those of the earlier run, by phase; their paths are absolute.
        phases: Those that are to run.

    Raises:
        BadRequest: A notebook no longer declares one, or not with this type; every fault is listed.
    """
    return _resolved(pipeline, [Layer(origin, pipeline.root, values)], phases, [])


def _resolved(
    pipeline: Pipeline, layers: Sequence[Layer], phases: Collection[str], faults: list[str]
) -> dict[str, dict[str, Any]]:
    for layer in layers:
        faults.extend(_unknown(pipeline, layer))
    resolved = {}
    for phase in pipeline.every:
        resolved[phase] = {
            name: _value(phase, parameter, layers, pipeline.notebooks[phase].path.parent, faults)
            for name, parameter in pipeline.notebooks[phase].parameters.items()
            if not filled_by_runner(pipeline, phase, name)
        }
    for phase in phases:
        faults.extend(_missing(phase, resolved[phase]))
    if faults:
        raise BadRequest(*dict.fromkeys(faults), next_step="trey plan, with the values mended")
    return {
        phase: {name: value for name, value in values.items() if value is not REQUIRED}
        for phase, values in resolved.items()
    }


def filled_by_runner(pipeline: Pipeline, phase: str, name: str) -> bool:
    """Tell whether the runner gives this parameter its value: reserved names and edges."""
    return name in RESERVED or name.removesuffix("_dir") in pipeline.edges[phase]


def is_input(name: str) -> bool:
    """Tell whether the content behind this parameter's path counts as an input."""
    return is_source(name) or name.endswith(("_path", "_dir"))


def is_source(name: str) -> bool:
    """Tell whether this parameter names something to read: a path, an address, or what is generated."""
    return name == "source" or name.endswith("_source")


def is_place(name: str) -> bool:
    """Tell whether this parameter names a path: an input, or a store outside the run."""
    return is_input(name) or name.endswith("_store")


def is_secret(name: str, value: Any) -> bool:
    """Tell whether a value refers to a secret; `file:` before the path of a place is only another way to write it."""
    return references.is_reference(value) and not (is_place(name) and value.startswith("file:"))


def secret_references(values: Mapping[str, Mapping[str, Any]], phases: Collection[str]) -> dict[str, dict[str, str]]:
    """Give the references to secrets among the values of these phases, by phase and name."""
    return {phase: {name: value for name, value in values[phase].items() if is_secret(name, value)} for phase in phases}


def is_address(value: Any) -> bool:
    """Tell whether a value is no path on this machine and stays as it was given."""
    return isinstance(value, str) and ("://" in value or value.startswith(_LEFT_ALONE))


def absolute(name: str, value: Any, base: Path) -> Any:
    """Make the value of a parameter that names a path absolute, and a reference to a file; others stay as they are.

    Raises:
        Mismatch: It cannot be a path: it has a NUL in it, or begins with the `~` of nobody.
    """
    try:
        if is_secret(name, value):
            return references.absolute(value, base)
        if not is_place(name) or not isinstance(value, str) or not value or is_address(value):
            return value
        return str((base / Path(value).expanduser()).resolve())
    except (ValueError, RuntimeError) as error:
        raise annotations.Mismatch(f"{annotations.describe(value)}, which is no path: {error}") from None


def overridden(parameters: Mapping[str, Parameter], values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Give the values that differ from what the notebook has when it runs in its own folder."""
    return {
        name: value
        for name, value in values.items()
        if not _same(value, absolute(name, parameters[name].default, folder))
    }


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _file_layers(pipeline: Pipeline, files: Sequence[Path], cwd: Path, faults: list[str]) -> Iterator[Layer]:
    default = pipeline.path.parent / DEFAULTS
    for path in [*([default] if default.is_file() else []), *(cwd / file for file in files)]:
        try:
            content = yaml_file.read_mapping(path)
        except ValueError as error:
            faults.append(str(error))
            continue
        groups = {}
        for name, group in content.items():
            if isinstance(group, dict):
                groups[str(name)] = {str(key): value for key, value in group.items()}
            else:
                faults.append(f"{path.name}: {name} is {annotations.describe(group)}; {_nested(pipeline, name, group)}")
        yield Layer(path.name, path.resolve().parent, groups)


def _nested(pipeline: Pipeline, name: Any, value: Any) -> str:
    """Say how an entry of a params file is written that is no mapping: papermill's files have no phases."""
    for phase in pipeline.every:
        if name in pipeline.notebooks[phase].parameters:
            return f"parameters stand below their phase: `{phase}: {{{name}: {yaml_file.one_line(value)}}}`"
    return "it must be a mapping of parameters"


def _set_layers(sets: Sequence[str], cwd: Path, faults: list[str]) -> Iterator[Layer]:
    for text in sets:
        target, equals, written = text.partition("=")
        phase, dot, name = target.strip().partition(".")
        if not (equals and dot and phase and name):
            faults.append(f"--set {text}: it must be phase.name=value")
            continue
        try:
            value = yaml_file.parse(written)
        except ValueError as error:
            faults.append(f"--set {text}: the value is no YAML: {error}")
            continue
        yield Layer("--set", cwd, {phase: {name: value}})


def _unknown(pipeline: Pipeline, layer: Layer) -> Iterator[str]:
    declared = {phase: list(pipeline.notebooks[phase].parameters) for phase in pipeline.every}
    for group, values in layer.values.items():
        if group != SHARED and group not in declared:
            yield f"{layer.origin}: there is no phase {group}; {did_you_mean(group, [*declared, SHARED])}"
            continue
        if group != SHARED and not declared[group]:
            file = pipeline.notebooks[group].path.name
            yield (
                f"{layer.origin}: {group} does not declare {', '.join(values)}; {file} declares no parameter at all: "
                f"is the tag `{TAG}` on its cell?"
            )
            continue
        names = declared.get(group) or list(dict.fromkeys(name for names in declared.values() for name in names))
        phases = [group] if group != SHARED else list(pipeline.every)
        for name in values:
            owners = [phase for phase in phases if name in declared[phase]]
            if not owners:
                given = [
                    known for known in names if not any(filled_by_runner(pipeline, phase, known) for phase in phases)
                ]
                who = "no phase declares" if group == SHARED else f"{group} does not declare"
                yield f"{layer.origin}: {who} {name}; {did_you_mean(name, given)}"
            elif any(filled_by_runner(pipeline, phase, name) for phase in owners):
                yield f"{layer.origin}: {group}.{name} is filled by the runner and cannot be given"


def _value(phase: str, parameter: Parameter, layers: Sequence[Layer], folder: Path, faults: list[str]) -> Any:
    """Take the value of the last layer that gives one."""
    given = [
        (layer, group, layer.values[group][parameter.name])
        for layer in layers
        for group in (SHARED, phase)
        if parameter.name in layer.values.get(group, {})
    ]
    result = parameter.default
    try:
        result = absolute(parameter.name, parameter.default, folder)
    except annotations.Mismatch as error:
        faults.append(f"{phase}.ipynb: the default of {parameter.name} is {error}")
    for layer, group, value in given:
        try:
            result = absolute(parameter.name, parameter.coerce(value), layer.base)
        except annotations.Mismatch as error:
            faults.append(
                f"{layer.origin}: {phase}.{parameter.name} is {error}{_quoting(group, parameter, layer, value)}"
            )
    if given and references.holds_reference(result):
        faults.append(
            f"{phase}.{parameter.name} holds a reference to a secret; give each secret a parameter of its own"
        )
    if is_input(parameter.name) and is_secret(parameter.name, result):
        said = "a reference to a secret; give a path or an address, whose content counts as an input"
        faults.append(f"{phase}.{parameter.name} is {result}, {said}")
    return result


def _quoting(group: str, parameter: Parameter, layer: Layer, value: Any) -> str:
    """Say how a text is written that YAML takes for something else."""
    if isinstance(value, str | list | dict | None) or not annotations.wants_text(parameter.type):
        return ""
    if layer.origin == "--set":
        return f"; as a text it is written --set '{group}.{parameter.name}=\"{value}\"'"
    return f'; as a text it is written "{value}", in quotes'


def _missing(phase: str, values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if value is REQUIRED:
            yield f"{phase}.{name} has no value and no default; give --set {phase}.{name}=VALUE"
    for name, source in values.items():
        if not is_source(name) or not isinstance(source, str) or not source:
            continue
        if not is_address(source) and not is_secret(name, source) and not _exists(Path(source)):
            yield f"{phase}.{name} is {source}, which does not exist; give --set {phase}.{name}=PATH"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a name of more than 255 bytes
        return False
