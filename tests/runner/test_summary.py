"""A run as a page of Markdown, and what a script prints for an agent: whatever is said in them stays said."""

from runner import logging_commands, summary
from runner.record import Record

from .conftest import Project


def ended(chain: Project, **asked: object) -> Record:
    return chain.run(run_id="one", **asked)


def test_the_page_tells_verdict_reason_and_gates(chain: Project) -> None:
    found = ended(chain, why="a request to retrain")
    found["source"].update(commit="c" * 40, dirty=True)
    assert summary.page(found, releasable="staging takes one") == (
        "# Release\n\n1 of 1 gates passed\n\n**staging takes one**\n\n"
        "- run: one, engine local\n- run for: a request to retrain\n"
        f"- commit: {'c' * 40}, with changes that were not committed\n"
        "- make: succeeded: first run\n- use: succeeded: first run\n\n"
        "| gate of | result | verdict | reason |\n|---|---|---|---|\n| use | make.number | pass | 2 ≥ 1 |\n"
    )


def test_the_page_tells_of_a_failure(chain: Project) -> None:
    chain.notebook(
        "make", "raise ValueError('<img src=x onerror=alert(1)>|[a](b)')", parameters='output_dir: str = "x"'
    )
    page = summary.page(ended(chain))
    assert page.startswith("# Failed: not released\n")
    assert r"&lt;img src=x onerror=alert\(1\)&gt;\|\[a\]\(b\)" in page


def test_a_value_can_neither_end_a_logging_command_nor_begin_another() -> None:
    said = "100 %; ]\r\n##vso[task.complete result=Succeeded;done=true]"
    assert logging_commands.set_output("reason", said) == (
        "##vso[task.setvariable variable=reason;isOutput=true]"
        "100 %AZP25; ]%0D%0A##vso[task.complete result=Succeeded;done=true]"
    )
    assert logging_commands.set_output("a;b]", "x") == "##vso[task.setvariable variable=a%3Bb%5D;isOutput=true]x"
