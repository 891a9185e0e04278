"""What is told to be typed next, where a run ended, leads on."""

from typing import Any, cast

import pytest

from runner.cli import next_step
from runner.cli.lifecycle import run
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
        (found(OUTCOME), "trey resume one"),
        (found(status="interrupted"), "trey resume one"),
        (found(status="failed"), "trey show one"),
    ],
)
def test_a_run_that_ended_early_is_led_on(record: Record, step: str) -> None:
    assert next_step.after(record, "one") == step


def test_every_option_with_a_value_is_known() -> None:
    """Or the value would be taken for an option: `--to`, for one."""
    valued = {name for option in run.params if not getattr(option, "is_flag", False) for name in option.opts}
    assert valued == set(next_step._VALUED)


def test_what_was_asked_to_end_early_goes_on_with_the_same_parameters() -> None:
    command = "trey run --params a.yaml --set=make.number=3 --set 'use.why=late --to' --to=make --run-id one --fresh"
    early = found(command=command, status="succeeded", gates=[])
    assert next_step.after(early, "one") == ("trey run --params a.yaml --set=make.number=3 --set 'use.why=late --to'")


@pytest.mark.parametrize(
    ("ended", "store", "step"),
    [
        ({"status": "succeeded"}, "../endpoints", "trey serve --env production"),
        ({"status": "succeeded"}, "azureml://workspace", "trey smoke --env production --of one"),
        ({"status": "interrupted"}, "../endpoints", "trey rollback --env production --of one"),
        ({"status": "interrupted", "before": "", "switched": True}, "x", "trey release one --to production"),
        ({"status": "rolled-back"}, "../endpoints", "trey show one"),
        ({"status": "failed", "before": "a", "switched": False}, "../endpoints", "trey show one"),
        ({"status": "failed", "before": "a", "switched": True}, "x", "trey rollback --env production --of one"),
        ({"status": "failed", "before": "a"}, "x", "trey rollback --env production --of one"),
        ({"status": "failed", "before": "", "switched": True}, "x", "trey release one --to production"),
    ],
)
def test_behind_a_release_stands_what_follows_from_its_end(ended: Any, store: str, step: str) -> None:
    record = found(phases={"use": entry() | {"params": {"endpoint_store": store}}})
    assert next_step.after_release(ended | {"environment": "production"}, "one", record) == step
