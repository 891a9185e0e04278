"""A deployment's rehearsal: the candidate in its slot answers real requests before anything depends on it."""

from collections.abc import Sequence

from delivery.endpoint import Endpoint, Slot
from delivery.errors import DeploymentFailed, ScoringProcessFailed
from delivery.process import scoring_process
from delivery.smoke import Example, SmokeReport, smoke_test

SHOWN = 10  # failures that a message lists


def rehearse(endpoint: Endpoint, candidate: Slot, examples: Sequence[Example]) -> SmokeReport:
    """Test the model in a slot through a scoring process that is started from it, and give what came of it.

    Raises:
        DeploymentFailed: The process does not start; the candidate's slot is emptied, the live one stays.
    """
    try:
        with scoring_process(candidate.folder) as url:
            return smoke_test(url, examples, digest=candidate.digest)
    except ScoringProcessFailed as error:
        endpoint.discard(candidate.name)
        raise _failed(candidate, str(error)) from error


def confirm(endpoint: Endpoint, candidate: Slot, report: SmokeReport) -> None:
    """Let a candidate go on whose every check passed.

    Raises:
        DeploymentFailed: A check failed; the candidate's slot is emptied, the live one stays.
    """
    if not report.failures:
        return
    endpoint.discard(candidate.name)
    shown = "\n".join(f"  {check.name}: {check.detail}" for check in report.failures[:SHOWN])
    raise _failed(
        candidate, f"{len(report.failures)} of {len(report.checks)} checks failed, the first of them:\n{shown}"
    )


def _failed(candidate: Slot, why: str) -> DeploymentFailed:
    return DeploymentFailed(
        f"version {candidate.version} does not go live from slot {candidate.name}; what was live still is.\n{why}\n"
        "Correct the cause, then: trey run --from deploy"
    )
