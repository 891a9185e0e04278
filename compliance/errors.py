"""What may go wrong with the values this room is given."""


class ComplianceError(Exception):
    """Base of the errors raised on purpose in this room."""


class BadInput(ComplianceError, ValueError):
    """The data, or a parameter that describes it, cannot be used; the message lists every fault and the next step."""

    def __init__(self, *faults: str):
        self.faults = faults
        super().__init__("\n".join(faults))
