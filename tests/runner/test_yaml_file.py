from pathlib import Path
from typing import Any

import pytest

from runner import yaml_file


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("2.5E3", 2500.0),
        ("10", 10),
        ("1_000", 1000),
        ("0x1f", 31),
        ("007", "007"),
        ("12:30", "12:30"),
        ("2026-11-23", "2026-11-23"),
        ("true", True),
        ("[a, 1]", ["a", 1]),
        ("", None),
    ],
)
def test_a_value_is_what_it_looks_like(text: str, value: Any) -> None:
    result = yaml_file.parse(text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: 'a' is given twice"),
        ("a: [1", "line 1: "),
        ("[1]: 2", "a key must be a plain value"),
    ],
)
def test_a_fault_names_its_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"line|key") as fault:
        yaml_file.parse(text)
    assert message in str(fault.value)


def test_a_file_holds_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("[1, 2]")
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert yaml_file.read_mapping(tmp_path / "empty.yaml") == {}
    with pytest.raises(ValueError, match=r"list\.yaml holds list; it must be a mapping"):
        yaml_file.read_mapping(tmp_path / "list.yaml")
    with pytest.raises(ValueError, match=r"absent\.yaml: No such file"):
        yaml_file.read_mapping(tmp_path / "absent.yaml")
