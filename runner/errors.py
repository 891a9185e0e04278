"""What may go wrong in this room. Raised inside; the command line turns each into a message and an exit code."""


class RunnerError(Exception):
    """Base of the errors raised on purpose here.

    Attributes:
        faults: What is wrong, one sentence each: what arrived and what was allowed.
        next_step: The command to type next; the last line of the message.
    """

    exit_code = 1

    def __init__(self, *faults: str, next_step: str):
        self.faults = faults
        self.next_step = next_step
        super().__init__("\n".join([*faults, f"next: {next_step}"]))


class BadRequest(RunnerError):
    """A pipeline, a parameter or an option is wrong. Every fault was collected and nothing has started."""

    exit_code = 2


class NoSuchRun(BadRequest):
    """No run has this name, or more than one begins with it."""


class NotReleasable(BadRequest):
    """The run failed, a gate stops its release, or there is nothing to release: a result, not a wrong request."""


class RunBusy(BadRequest):
    """Another runner is at work in this run folder."""


class BadRecord(RunnerError):
    """A run.json cannot be read: it is no JSON, or of a schema that this version does not know."""


class RunFailed(RunnerError):
    """The runner itself failed in the middle of a run; the record says where."""
