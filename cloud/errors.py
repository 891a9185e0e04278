"""What may go wrong between here and Azure. Raised inside; the rooms that use this one turn each into their own."""


class CloudError(Exception):
    """Base of the errors raised on purpose here.

    Attributes:
        message: What arrived and what was allowed, in one or two sentences.
        next_step: The command to type next.
    """

    def __init__(self, message: str, *, next_step: str):
        self.message = message
        self.next_step = next_step
        super().__init__(f"{message}\nnext: {next_step}")


class BadWorkspace(CloudError):
    """No workspace was named, or in a form that is no address."""


class BadSettings(CloudError):
    """What a workspace shall have is described wrongly; the message lists every fault."""


class NotInstalled(CloudError):
    """The packages that speak to Azure are not installed."""

    def __init__(self, package: str | None):
        super().__init__(
            f"{package} is not installed; it comes with the extra azureml", next_step="pip install 'trey[azureml]'"
        )


class NoIdentity(CloudError):
    """Azure does not know who asks: nobody has signed in, or the token has expired."""


class Forbidden(CloudError):
    """Azure knows who asks, but this identity lacks a role."""


class NotFound(CloudError):
    """What was asked for does not exist."""


class Refused(CloudError):
    """Azure understood what was asked and says no: a wrong value, a quota, a name that is taken."""


class Unavailable(CloudError):
    """Azure does not answer now, or only that it is too busy; the same command may be repeated."""
