"""What a parameters cell declares comes back as it was written; what it must not hold is a fault; nothing raises."""

import ast
import json
import keyword
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from runner import annotations, constraints, fingerprint, imports, notebook, parameters, yaml_file
from runner.annotations import Mismatch
from runner.errors import BadRequest
from runner.notebook import REQUIRED, declarations
from runner.pipeline import Pipeline, load_pipeline

from ..drawn import examples
from .conftest import Project

pytestmark = pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")  # of generated sources
MORE = settings(max_examples=examples(120), deadline=None)
LETTERS = st.characters(codec="utf-8", exclude_categories=("Cs",))
WORDS = st.text(LETTERS, max_size=8)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
NAMES = (
    st.sampled_from(["rows", "n", "größe", "_x", "λ1", "print", "type", "match", "output_dir"])
    | st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True)
).filter(lambda name: not keyword.iskeyword(name))

Kind = tuple[str, st.SearchStrategy]  # an annotation, and values that fit it


def simple_kinds() -> list[Kind]:
    return [
        ("int", st.integers()),
        ("float", FINITE),
        ("bool", st.booleans()),
        ("str", WORDS),
        ("list", st.lists(PLAIN, max_size=3)),
        ("dict", st.dictionaries(WORDS, PLAIN, max_size=3)),
        ("Any", PLAIN),
        ("typing.Any", PLAIN),
        ("None", st.none()),
    ]


@st.composite
def literals(draw: st.DrawFn) -> Kind:
    allowed = draw(st.lists(st.integers() | st.booleans() | WORDS, min_size=1, max_size=3))
    return f"Literal[{', '.join(map(repr, allowed))}]", st.sampled_from(allowed)


def nested(inner: st.SearchStrategy) -> st.SearchStrategy:
    one = inner
    two = st.tuples(inner, inner)
    return (
        one.map(lambda kind: (f"list[{kind[0]}]", st.lists(kind[1], max_size=3)))
        | one.map(lambda kind: (f"List[{kind[0]}]", st.lists(kind[1], max_size=3)))
        | one.map(lambda kind: (f"dict[str, {kind[0]}]", st.dictionaries(WORDS, kind[1], max_size=3)))
        | one.map(lambda kind: (f"Optional[{kind[0]}]", st.none() | kind[1]))
        | one.map(lambda kind: (f"typing.Optional[{kind[0]}]", st.none() | kind[1]))
        | one.map(lambda kind: (repr(kind[0]), kind[1]))
        | two.map(lambda kinds: (f"Union[{kinds[0][0]}, {kinds[1][0]}]", kinds[0][1] | kinds[1][1]))
        | two.filter(lambda kinds: not any(kind[0][0] in "'\"" for kind in kinds)).map(
            lambda kinds: (f"{kinds[0][0]} | {kinds[1][0]}", kinds[0][1] | kinds[1][1])
        )
    )


KINDS = st.recursive(st.sampled_from(simple_kinds()) | literals(), nested, max_leaves=4)
HELPS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20
) | st.sampled_from(
    ["share kept = all", 'it\'s "quoted" # twice', "a = b: int = 3", "größte Zahl, ≥ 0", "at least, as it were", "'''"]
)


@st.composite
def cells(draw: st.DrawFn) -> tuple[str, list[tuple[str, str, Any, str]]]:
    """Generate the source of a parameters cell and (name, type, default, help) of what it declares."""
    lines, wanted = [], []
    for name in draw(st.lists(NAMES, max_size=4, unique=True)):
        annotation, values = draw(KINDS)
        default = draw(values | st.just(REQUIRED))
        comment = draw(HELPS)
        assume(constraints._CLAUSE.search(comment.strip()) is None)  # those are generated below
        if draw(st.booleans()):
            lines.append(
                draw(st.sampled_from(["", "# a line of its own", "'what follows'", "   # indented, at most 0"]))
            )
        written = "" if default is REQUIRED else f" = {default!r}"
        if len(written) > 3 and isinstance(default, list) and default and draw(st.booleans()):
            written = " = [  # inside, at least 9\n" + "".join(f"    {item!r},\n" for item in default) + "]"
        lines.append(f"{name}: {annotation}{written}  # {comment}")
        wanted.append((name, annotation, default, comment.strip()))
    return draw(st.sampled_from(["\n", "\r\n", "\r"])).join("\n".join(lines).split("\n")), wanted


def like(one: Any, other: Any) -> bool:
    """Tell whether two values are equal, but for whole numbers that became floats."""
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(like, one, other))
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(like(one[key], other[key]) for key in one)
    same = isinstance(one, bool) == isinstance(other, bool) and isinstance(one, str) == isinstance(other, str)
    return same and bool(one == other or float(one) == other)  # 2**53 + 1 as a float is another number


@MORE
@given(cells())
@example(("a: int = 5  # first\rb: int = 2  # second", [("a", "int", 5, "first"), ("b", "int", 2, "second")]))
def test_what_a_cell_declares_comes_back(cell: tuple[str, list[tuple[str, str, Any, str]]]) -> None:
    source, wanted = cell
    found, faults = declarations(source)
    assert faults == []
    assert [(parameter.name, parameter.help) for parameter in found] == [(name, words) for name, _, _, words in wanted]
    for parameter, (_, annotation, default, _) in zip(found, wanted, strict=True):
        assert parameter.type == ast.unparse(ast.parse(annotation, mode="eval").body)
        assert parameter.default is default or like(default, parameter.default)
        assert parameter.constraint is None


@MORE
@given(KINDS, st.data())
def test_a_value_that_fits_comes_back_and_again(kind: Kind, data: st.DataObject) -> None:
    annotation, values = kind
    value = data.draw(values)
    once = annotations.coerce(annotation, value)
    assert like(value, once)
    again = annotations.coerce(annotation, once)
    assert again == once
    assert json.dumps(again) == json.dumps(once)  # 1 and 1.0 and True differ here


@MORE
@given(KINDS, PLAIN | st.sampled_from([math.nan, math.inf, (1,), {1}, b"x", 1j, {1: 2}, "\ud800", ["\ud800"]]))
def test_any_other_value_is_refused_with_a_reason(kind: Kind, value: Any) -> None:
    try:
        once = annotations.coerce(kind[0], value)
    except Mismatch as refused:
        assert str(refused)
        return
    assert like(value, once)
    assert annotations.coerce(kind[0], once) == once
    json.dumps(once, allow_nan=False, ensure_ascii=False).encode()


MISFITS = [
    ("int", st.booleans() | FINITE | WORDS | st.none() | st.lists(st.integers())),
    ("float", st.booleans() | WORDS | st.none() | st.just(10**400) | st.sampled_from([math.nan, math.inf])),
    ("bool", st.integers() | FINITE | WORDS | st.none()),
    ("str", st.booleans() | st.integers() | FINITE | st.none() | st.just("\udfff")),
    ("list[int]", st.lists(st.integers(), max_size=2).map(lambda items: [*items, True]) | st.integers() | WORDS),
    ("dict[str, int]", st.dictionaries(WORDS, FINITE, min_size=1) | st.lists(st.integers()) | st.none()),
    ("dict[int, int]", st.dictionaries(st.integers(), st.integers(), min_size=1)),
    ("Optional[int]", st.booleans() | FINITE | WORDS),
    ("Literal[1, 'a']", st.sampled_from([True, 1.0, "1", 2, None, "A"])),
    ("list[list[float]]", st.lists(st.lists(st.booleans(), min_size=1), min_size=1)),
]


@pytest.mark.parametrize(("annotation", "values"), MISFITS)
@given(st.data())
@settings(max_examples=30, deadline=None)
def test_a_misfit_is_refused(annotation: str, values: st.SearchStrategy, data: st.DataObject) -> None:
    with pytest.raises(Mismatch):
        annotations.coerce(annotation, data.draw(values))


PIECES = st.sampled_from(
    [
        *(
            "a",
            "b",
            "int",
            "float",
            "str",
            "Literal",
            "Union",
            "typing.",
            "list",
            "dict",
            "None",
            "print",
            "lambda",
            "if",
        ),
        *("=", ":", "#", "\n", "\r", "\x0c", " ", "    ", "\t", "\\", "(", ")", "[", "]", "{", "}", ",", "|", "*", "-"),
        *(
            "1",
            "1e999",
            "0x",
            "'",
            '"',
            "'''",
            "f'",
            "b'",
            "...",
            "@",
            "%",
            "!",
            ";",
            "\ud800",
            "\0",
            "\ufeff",
            "é",
            "\u2028",
        ),
        *(
            "# at least 3",
            "# between 1 and 0",
            "at most 1_",
            "at least 1e999",
            "await ",
            "import os",
            "def f():",
            "{[]: 1}",
        ),
    ]
)


@settings(max_examples=examples(1000), deadline=None)
@given(st.text() | st.lists(PIECES, max_size=14).map("".join) | st.lists(PIECES, max_size=8).map(" ".join))
@example("a: Literal[{[]: 1}] = 1")
@example("a = " + "-" * 5000 + "1")
@example("a = " + "1 + " * 5000 + "1")
@example("a: " + "int | " * 5000 + "int = 1")
@example("a = '\ud800'")
@example("a = '\\ud800'")
@example("a = 0x" + "f" * 5000)
@example("a = " + "[" * 150 + "]" * 150)
@example("a = 1\x00")
@example("a: int = 1  # at most 1_")
def test_any_text_declares_or_is_at_fault_and_raises_nothing(source: str) -> None:
    found, faults = declarations(source)
    assert all(isinstance(fault, str) and fault for fault in faults)
    for parameter in found:
        if parameter.default is not REQUIRED:
            json.dumps(parameter.default, allow_nan=False, ensure_ascii=False).encode()
            assert parameter.coerce(parameter.default) == parameter.default


@settings(max_examples=examples(300), deadline=None)
@given(st.text() | st.lists(PIECES, max_size=14).map("".join))
@example("a = " + "1 + " * 5000 + "1")
@example("'\ud800'")
def test_any_source_has_a_digest_and_imports(source: str) -> None:
    document = notebook.Notebook(Path("n.ipynb"), b"", (notebook.Cell("code", source),))
    assert len(fingerprint.notebook_digest(document)) == 64
    imports.project_code([source], [Path("/nowhere")], ())


@pytest.mark.parametrize(
    "line",
    [
        "a = open({path!r}, 'w')",
        "a: int = __import__('pathlib').Path({path!r}).touch()",
        "a: __import__('pathlib').Path({path!r}).touch() = 1",
        "a: Literal[open({path!r}, 'w')] = 1",
        "a: 'open({path!r}, chr(119))' = 1",
        "__import__('pathlib').Path({path!r}).touch()",
        "a = [open({path!r}, 'w') for _ in [1]]",
        "a = f\"{{open({path!r}, 'w')}}\"",
        "a: int = (b := open({path!r}, 'w'))",
        "!touch {path}",
        "%run {path}",
    ],
)
def test_nothing_of_a_cell_is_executed(tmp_path: Path, line: str) -> None:
    path = tmp_path / "made"
    found, faults = declarations(f"first: int = 1\n{line.format(path=str(path))}")
    assert len(faults) == 1
    assert not path.exists()
    assert [parameter.name for parameter in found] in ([], ["first"])


BOUNDS = st.integers(-(10**20), 10**20) | st.floats(-1e6, 1e6).map(lambda number: round(number, 4))


@MORE
@given(st.sampled_from(["at least", "at most", "above", "below"]), BOUNDS, st.data())
@example("at least", 2**53 + 1, None)
@example("below", -(2**53) - 1, None)
def test_a_bound_holds_at_its_very_edge(words: str, bound: float, data: st.DataObject | None) -> None:
    whole = isinstance(bound, int)
    kind = "int" if whole else "float"
    (parameter,), faults = declarations(f"a: {kind}  # what it is, {words} {bound}")
    assert faults == []
    assert parameter.help == "what it is"
    step = 1 if whole else None
    below = bound - 1 if step else math.nextafter(bound, -math.inf)
    above = bound + 1 if step else math.nextafter(bound, math.inf)
    allowed = {
        "at least": [bound, above],
        "at most": [below, bound],
        "above": [above],
        "below": [below],
    }[words]
    for value in (below, bound, above):
        if value in allowed:
            assert parameter.coerce(value) == value
        else:
            with pytest.raises(Mismatch) as refused:
                parameter.coerce(value)
            assert str(refused.value) == f"{value}; allowed is {words} {bound}"


CONTAINERS = {
    "list[int]": lambda value: [0, value],
    "dict[str, int]": lambda value: {"a": 0, "b": value},
    "dict[str, list[int]]": lambda value: {"a": [], "b": [0, value]},
    "list[dict[str, int]]": lambda value: [{}, {"b": value}],
    "int | None": lambda value: value,
    "Union[str, int]": lambda value: value,
    "'int'": lambda value: value,
    "Optional[list[int]]": lambda value: [value],
}


@pytest.mark.parametrize("annotation", CONTAINERS)
@given(st.integers(-5, 15))
@settings(max_examples=30, deadline=None)
def test_a_bound_holds_inside_of_lists_and_mappings(annotation: str, value: int) -> None:
    (parameter,), faults = declarations(f"a: {annotation}  # between 0 and 10")
    assert faults == []
    given_value = CONTAINERS[annotation](value)
    if 0 <= value <= 10:
        assert parameter.coerce(given_value) == given_value
    else:
        with pytest.raises(Mismatch, match="allowed is between 0 and 10"):
            parameter.coerce(given_value)


@pytest.mark.parametrize("words", ["at least 1e999", "between 0 and 1e400", "above -1e999"])
def test_a_bound_that_is_no_number_is_a_fault(words: str) -> None:
    found, faults = declarations(f"a: float = 1.0  # {words}")
    assert found == []
    assert faults[0].endswith("is beyond the range of numbers")


# From a params file or --set to the value that a phase gets.


@pytest.fixture(scope="module")
def given_any(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Pipeline]:
    """Give a project of one phase, whose parameters take one kind of value each."""
    project = Project(tmp_path_factory.mktemp("params"))
    project.notebook(
        "make",
        parameters='any: Any = None\ntext: str = ""\nnumber: float = 0.0\nwhole: int = 1  # at least 0\n'
        'source: str = ""\nmodel_path: str = ""\noutput_dir: str = "x"',
    )
    project.pipeline("phases: [make]")
    return project, load_pipeline(project.root / "params" / "pipeline.yaml")


def resolve(given_any: tuple[Project, Pipeline], *sets: str) -> dict[str, Any]:
    project, pipeline = given_any
    return parameters.resolve(pipeline, [], sets, project.root, ["make"])["make"]


ONE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ONE
@given(PLAIN, st.sampled_from([None, True, False]))
def test_a_value_written_in_yaml_comes_back(given_any: tuple[Project, Pipeline], value: Any, flow: bool | None) -> None:
    written = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True, width=10**6)
    assume(not ambiguous(value))
    found = resolve(given_any, f"make.any={written}")["any"]
    assert like(value, found)
    assert like(value, resolve(given_any, f"make.any={json.dumps(value)}")["any"])


def ambiguous(value: Any) -> bool:
    """Tell whether PyYAML writes it as something that params files read in their own way, or JSON as YAML does not."""
    if isinstance(value, dict):
        return any(map(ambiguous, [*value, *value.values()]))
    if isinstance(value, list):
        return any(map(ambiguous, value))
    if isinstance(value, str):  # written plain by PyYAML, since it is no number there; escapes in pairs in JSON
        numeric = any(pattern.match(value) for pattern in yaml_file._NUMBERS.values())
        return numeric or value in ("=", "<<") or any(ord(letter) > 0xFFFF or letter == "\x7f" for letter in value)
    return False


@ONE
@given(st.text())
@example("&a [*a]")
@example("[" * 3000)
@example("!!bool maybe")
@example("!!int ''")
@example("!!timestamp x")
@example("!!map [1]")
@example('"\\ud800"')
@example("0x" + "f" * 5000)
@example("~nobody-of-this-name/x")
@example('"\\0"')
@example("x" * 300)
@example("1" + "0" * 400)
@example("!!python/object/apply:os.system [exit]")
@example("{? {a: 1} : 2}")
def test_any_text_given_for_a_parameter_is_taken_or_told(given_any: tuple[Project, Pipeline], text: str) -> None:
    for name in ("any", "text", "number", "whole", "source", "model_path"):
        try:
            found = resolve(given_any, f"make.{name}={text}")
        except BadRequest as refused:
            assert refused.faults
            continue
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
        fingerprint.digest_of(found)


@ONE
@given(
    st.lists(
        st.tuples(st.sampled_from(["make", "all", "mak", "use"]), NAMES.filter(str.isascii), st.integers()),
        min_size=1,
        max_size=5,
        unique_by=lambda entry: entry[:2],
    )
)
def test_every_unknown_name_is_told(given_any: tuple[Project, Pipeline], entries: list[tuple[str, str, int]]) -> None:
    declared = given_any[1].notebooks["make"].parameters
    wrong = [
        entry for entry in entries if entry[0] in ("mak", "use") or entry[1] not in declared or entry[1] == "output_dir"
    ]
    assume(wrong)
    with pytest.raises(BadRequest) as refused:
        resolve(given_any, *(f"{phase}.{name}={value}" for phase, name, value in entries))
    said = "\n".join(refused.value.faults)
    for phase, name, _ in wrong:
        assert (f"there is no phase {phase};" if phase in ("mak", "use") else name) in said


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("make.any=&a [*a]", "--set: make.any is something nested more than 50 deep, or in itself"),
        ("make.text=\"\\ud800\"", "--set: make.text is '\\ud800' (str) holds half a character, which no file can hold"),
        ("make.any=!!bool maybe", "--set make.any=!!bool maybe: the value is no YAML: a tag does not fit its value"),
        ("make.model_path=~nobody-of-this-name/x", "'~nobody-of-this-name/x' (str), which is no path"),
        ("make.model_path=\"\\0\"", "--set: make.model_path is '\\x00' (str), which is no path"),
        ("make.source=" + "x" * 300, "which does not exist; give --set make.source=PATH"),
    ],
)  # fmt: skip
def test_what_no_parameter_can_be_is_told(given_any: tuple[Project, Pipeline], text: str, fault: str) -> None:
    with pytest.raises(BadRequest) as refused:
        resolve(given_any, text)
    assert len(refused.value.faults) == 1
    assert fault in refused.value.faults[0]


@pytest.mark.parametrize(
    "content",
    [
        '{"nbformat": 4, "cells": [{"cell_type": "code", "source": "1", "metadata": null}]}',
        '{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1], "metadata": {}}]}',
        '{"nbformat": 4, "cells": [[]]}',
        '{"nbformat": 4, "cells": [{"cell_type": "code", "source": "1", "metadata": {"tags": 3}}]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_notebook_is_refused_and_raises_nothing_else(tmp_path: Path, content: str) -> None:
    (tmp_path / "odd.ipynb").write_text(content)
    with pytest.raises(BadRequest, match="is no notebook of format 4"):
        notebook.read(tmp_path / "odd.ipynb")


def test_a_tag_that_is_no_text_means_nothing(tmp_path: Path) -> None:
    content = '{"nbformat": 4, "cells": [{"cell_type": "code", "source": "1", "metadata": {"tags": [3]}}]}'
    (tmp_path / "odd.ipynb").write_text(content)
    notebook.read(tmp_path / "odd.ipynb").check_tags()
