"""What may go wrong in this room; every message ends with what to do next."""


class DeliveryError(Exception):
    """Base of the errors raised on purpose in this room."""


class BadName(DeliveryError, ValueError):
    """A model or an environment has a name that cannot be a folder and a registry entry."""


class ModelChanged(DeliveryError):
    """A model folder does not hold the bytes that its digest promises; the message lists every difference."""


class RegistryError(DeliveryError):
    """The registry does not hold what was asked for, or holds it in a form that nobody here wrote."""


class ReleaseRefused(DeliveryError):
    """Gates or sign-offs do not allow this release in this environment; `reasons` says why, one sentence each."""

    def __init__(self, message: str, *reasons: str):
        self.reasons = reasons
        super().__init__(message)


class ApprovalUnknown(DeliveryError):
    """Azure DevOps did not ask anybody for an approval, or does not tell who gave it."""


class EndpointError(DeliveryError):
    """The endpoint's state does not allow what was asked."""


class EndpointBusy(EndpointError):
    """Another deployment holds the endpoint."""


class ScoringProcessFailed(DeliveryError):
    """The scoring process did not become ready; the message has what it printed."""


class DeploymentFailed(DeliveryError):
    """The candidate did not pass its tests, and the live slot stays as it was."""


class BadPlan(DeliveryError, ValueError):
    """A canary cannot be run in the way that was asked for; the message lists every fault."""
