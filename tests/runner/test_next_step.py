"""What is told to be typed next, where a run ended, leads on."""

from typing import Any, cast

import pytest

from runner.cli import next_step
from runner.record import Record

from .conftest import entry

FAIL = {"phase": "use", "scrap": "make.number", "verdict": "fail", "rule": {"min": 1}, "value": 0, "reason": "0 < 1"}
LITTLE = FAIL | {"verdict": "inconclusive"}
OUTCOME = FAIL | {"phase": "outcome", "scrap": "use.sent"}
WAIVER = {"kind": "waiver", "subject": "make.number", "digest": "0" * 64, "rule": {"min": 1}, "value": 0}


def found(*stopping: dict[str, Any], command: str = "trey run", **parts: Any) -> Record:
    made = {
        "status": "stopped",
        "command": command,
        "gates": [FAIL | {"verdict": "pass"}, *stopping],
        "phases": {"make": entry(number=0), "use": entry("skipped")},
        "pipeline": {"phases": ["make", "use"]},
    }
    return cast(Record, made | parts)


@pytest.mark.parametrize(
    ("record", "step"),
    [
        (found(FAIL), "trey show one"),
        (found(LITTLE, FAIL), "trey show one"),
        (found(FAIL, OUTCOME), "trey show one"),
        (found(LITTLE), "trey waive one --gate make.number --reason WHY"),
        (found(LITTLE, sign_offs=[WAIVER]), "trey resume one"),
        (found(LITTLE, sign_offs=[WAIVER | {"value": 1}]), "trey waive one --gate make.number --reason WHY"),
        (
            found(LITTLE, LITTLE | {"scrap": "make.more"}, sign_offs=[WAIVER]),
            "trey waive one --gate make.more --reason WHY",
        ),
        (found(OUTCOME), "trey run --from use --fresh"),
        (found(status="interrupted"), "trey resume one"),
        (found(status="failed"), "trey show one"),
    ],
)
def test_a_run_that_ended_early_is_led_on(record: Record, step: str) -> None:
    assert next_step.after(record, "one") == step


def test_what_is_tried_again_has_the_same_parameters() -> None:
    """But for those of phases that are taken as they are: `trey run --from` refuses them."""
    command = "trey run --params a.yaml --set make.number=3 --set 'use.why=too late' --set=make.x=1 --to use"
    step = next_step.after(found(OUTCOME, command=f"{command} --run-id one --from=use --fresh"), "one")
    assert step == "trey run --params a.yaml --set 'use.why=too late' --from use --fresh"
