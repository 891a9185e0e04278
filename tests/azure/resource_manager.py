"""Azure Resource Manager, as far as a workspace needs it: resources by their ids, and some of its rules."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .contract import PROVIDER, Contract

Answer = tuple[int, Any, dict[str, str]]
Resource = dict[str, Any]
_VERSIONED = re.compile(r"(?P<container>.*/(codes|components|data|environments|models))/(?P<name>[^/]+)/versions/[^/]+")
_ENDPOINT = re.compile(r"(?P<endpoint>.*/onlineendpoints/(?P<name>[^/]+))(/deployments/(?P<deployment>[^/]+))?")
_FIXED = {"codeUri", "dataUri", "modelUri"}  # what a version that exists keeps
_WORKSPACE = re.compile(
    rf"/subscriptions/[^/]+/resourcegroups/[^/]+/providers/{re.escape(PROVIDER)}/workspaces/[^/]+", re.I
)
_CHANGES = {"PUT": "write", "PATCH": "write", "DELETE": "delete", "GET": "read", "HEAD": "read"}
_MOST_MIRRORED = 50  # per cent


def fault(status: int, code: str, message: str, **headers: str) -> Answer:
    """Answer as Resource Manager tells an error."""
    return status, {"error": {"code": code, "message": message}}, headers


def now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass
class ResourceManager:
    """The resources, and what shall come of changes to them.

    Attributes:
        contract: Checks each body that is put; None where the schemas are not at hand.
        resources: By id in lower case.
        broken: What was put against the contract.
        denied: Actions, as patterns, that nobody has a role for.
        failing: What becomes of a deployment, by its name: the message of its failure.
        steps: How often an operation says that it is in progress before it ends.
        on_job: Is told of each new job, by its id.
    """

    url: str
    contract: Contract | None = None
    resources: dict[str, Resource] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    failing: dict[str, str] = field(default_factory=dict)
    steps: int = 1
    on_job: Callable[[str], None] | None = None
    _operations: dict[str, list[Any]] = field(default_factory=dict)

    def put(self, path: str, properties: dict[str, Any], **more: Any) -> Resource:
        """Store a resource as it is, for the beginning of a test."""
        parts = path.strip("/").rpartition("providers/")[2].split("/")
        kind = "/".join([parts[0], *parts[1::2]])
        stamp = {"createdAt": now(), "createdBy": "test", "createdByType": "User", "lastModifiedAt": now()}
        before = self.resources.get(path.lower(), {}).get("systemData", {})
        stamp["createdAt"] = before.get("createdAt", stamp["createdAt"])
        found = {"id": path, "name": parts[-1], "type": kind, "properties": properties, "systemData": stamp, **more}
        self.resources[path.lower()] = found
        return found

    def get(self, path: str) -> Resource:
        """Give a resource; it must exist."""
        return self.resources[path.removeprefix("azureml:").lower()]

    def handle(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        """Answer a request whose token was accepted."""
        path = path.rstrip("/")
        if path.startswith("/operations/"):
            return self._operation(path)
        action = _action(method, path)
        if any(re.search(pattern, action, re.I) for pattern in self.denied):
            said = f"The client 'trey' with object id '00000000-0000-0000-0000-0000000000bb' does not have authorization to perform action '{action}' over scope '{path}' or the scope is invalid. If access was recently granted, please refresh your credentials."  # noqa: E501  # as Azure says it
            return fault(403, "AuthorizationFailed", said)
        workspace = _WORKSPACE.match(path)
        if workspace and workspace[0].lower() not in self.resources and (method != "PUT" or workspace[0] != path):
            name = workspace[0].rpartition("/")[2]
            group = path.split("/")[4]
            said = f"The Resource '{PROVIDER}/workspaces/{name}' under resource group '{group}' was not found."
            return fault(404, "ResourceNotFound", said)
        act = {"PUT": self._put, "PATCH": self._patch, "DELETE": self._delete, "POST": self._post}.get(
            method, self._get
        )
        return act(path, query, body)

    def _put(self, path: str, query: dict[str, str], body: Any) -> Answer:
        if self.contract and f"/providers/{PROVIDER}/".lower() in path.lower():
            faults = self.contract.faults(path, query.get("api-version", ""), body)
            if faults:
                self.broken += [f"PUT {path.rpartition(PROVIDER)[2]}: {one}" for one in faults]
                return fault(400, "InvalidRequestContent", f"The request content was invalid: {'; '.join(faults)}")
        before = self.resources.get(path.lower())
        properties = dict(body.get("properties") or {})
        if _VERSIONED.fullmatch(path.lower()) and before:
            changed = [name for name in _FIXED if before["properties"].get(name) != properties.get(name)]
            if changed:
                return fault(409, "UserError", f"{path} exists already with another {', '.join(changed)}")
        if refused := self._busy(path) or self._against_rules(path, properties):
            return refused
        return self._stored(path, body, properties, created=before is None)

    def _patch(self, path: str, query: dict[str, str], body: Any) -> Answer:
        before = self.resources.get(path.lower())
        if before is None:
            return _no_resource(path)
        properties = {**before["properties"], **(body.get("properties") or {})}
        if refused := self._against_rules(path, properties):
            return refused
        return self._stored(path, {**before, **body}, properties, created=False)

    def _stored(self, path: str, body: dict[str, Any], properties: dict[str, Any], *, created: bool) -> Answer:
        key = path.lower()
        more = {
            name: value
            for name, value in body.items()
            if name not in {"id", "name", "type", "properties", "systemData"}
        }
        found = self.put(path, properties, **more)
        if versioned := _VERSIONED.fullmatch(key):
            container = path.rpartition("/versions/")[0]
            self.put(container, {"latestVersion": found["name"], "isArchived": False})
            if versioned["container"].endswith("/models"):
                properties.setdefault("flavors", {})
        if re.search(r"/jobs/[^/]+$", key):
            self._new_job(found, created=created)
        if _ENDPOINT.fullmatch(key):
            return self._placed(found, created=created)
        if re.search(r"/(workspaces|computes|datastores|schedules|storageaccounts|registries|vaults)/[^/]+$", key):
            properties.setdefault("provisioningState", "Succeeded")
        return (201 if created else 200), found, {}

    def _new_job(self, found: Resource, *, created: bool) -> None:
        properties = found["properties"]
        studio = f"https://ml.azure.com/runs/{found['name']}"
        properties.setdefault("status", "Preparing")
        properties["services"] = {
            "Tracking": {"endpoint": "azureml://", "jobServiceType": "Tracking"},
            "Studio": {"endpoint": studio, "jobServiceType": "Studio"},
        }
        if created and self.on_job:
            self.on_job(found["id"])

    def _placed(self, found: Resource, *, created: bool) -> Answer:
        """Begin what takes a while: an endpoint, or a deployment behind one."""
        properties, at = found["properties"], _ENDPOINT.fullmatch(found["id"].lower())
        assert at
        if at["deployment"]:
            properties.setdefault("scaleSettings", {"scaleType": "Default"})
        else:
            name = found["name"]
            properties["scoringUri"] = f"{self.url}/endpoints/{name}/score"
            properties["swaggerUri"] = f"{self.url}/endpoints/{name}/swagger.json"
            properties.setdefault("traffic", {})
            properties.setdefault("mirrorTraffic", {})
        properties["provisioningState"] = "Creating" if created else "Updating"
        return (201 if created else 200), found, self._begin(found)

    def _busy(self, path: str) -> Answer | None:
        """Refuse to change what is being changed. Each refusal takes that operation a step on, as time does."""
        found = self.resources.get(path.lower())
        if not found or not _ENDPOINT.fullmatch(path.lower()):
            return None
        if found["properties"].get("provisioningState") not in {"Creating", "Updating"}:
            return None
        name = next(name for name, (_, changed) in reversed(self._operations.items()) if changed is found)
        self._operation(f"/operations/{name}")
        return fault(409, "Conflict", f"There is already an operation under way for {found['name']}.")

    def _against_rules(self, path: str, properties: dict[str, Any]) -> Answer | None:
        """Refuse what the service refuses of online endpoints."""
        at = _ENDPOINT.fullmatch(path.lower())
        if not at:
            return None
        if at["deployment"]:
            known = at["endpoint"] in self.resources
            return None if known else _no_resource(path.rpartition("/deployments/")[0])
        said = self._wrong_traffic(
            at["endpoint"], properties.get("traffic") or {}, properties.get("mirrorTraffic") or {}
        )
        return fault(400, "BadArgument", said) if said else None

    def _wrong_traffic(self, endpoint: str, traffic: dict[str, int], mirror: dict[str, int]) -> str:
        """Say what is wrong with the shares that an endpoint is given; nothing where they are as they may be."""
        named = {*traffic, *mirror}
        unknown = sorted(name for name in named if f"{endpoint}/deployments/{name}".lower() not in self.resources)
        total = sum(traffic.values())
        if unknown:
            return f"traffic names deployments that do not exist: {', '.join(unknown)}"
        if total not in {0, 100}:
            return f"the sum of traffic is {total}; it must be 0 or 100"
        if len(mirror) > 1 or any(not 0 <= share <= _MOST_MIRRORED for share in mirror.values()):
            return f"mirrorTraffic {mirror}: one deployment, and 0 to {_MOST_MIRRORED} per cent"
        both = any(traffic.get(name) for name in mirror)
        return "a deployment cannot have live and mirrored traffic at once" if both else ""

    def _delete(self, path: str, query: dict[str, str], body: Any) -> Answer:
        key = path.lower()
        if key not in self.resources:
            return 204, None, {}
        if refused := self._busy(path):
            return refused
        at = _ENDPOINT.fullmatch(key)
        if at and at["deployment"]:
            endpoint = self.resources[at["endpoint"]]["properties"]
            name = path.rpartition("/")[2]
            if (endpoint.get("traffic") or {}).get(name) or (endpoint.get("mirrorTraffic") or {}).get(name):
                said = (
                    f"Cannot delete deployment {name}: it has traffic; set its traffic and mirror traffic to 0 first."
                )
                return fault(400, "BadArgument", said)
        for inner in [one for one in self.resources if one == key or one.startswith(f"{key}/")]:
            del self.resources[inner]
        return (202, None, self._begin(None)) if at else (200, None, {})

    def _get(self, path: str, query: dict[str, str], body: Any) -> Answer:
        key = path.lower()
        if key in self.resources:
            return 200, self.resources[key], {}
        parts = key.rpartition("/providers/")[2].split("/")
        if "/providers/" in key and len(parts) % 2 == 0:
            return 200, {"value": self._listed(key, query)}, {}
        return _no_resource(path)

    def _listed(self, key: str, query: dict[str, str]) -> list[Resource]:
        found = [one for at, one in self.resources.items() if at.rpartition("/")[0] == key]
        if "isDefault" in query:
            found = [one for one in found if one["properties"].get("isDefault")]
        if "hash" in query:
            found = [
                one for one in found if (one["properties"].get("properties") or {}).get("hash_sha256") == query["hash"]
            ]
        found.sort(
            key=lambda one: one["systemData"]["createdAt"],
            reverse="desc" in query.get("$orderBy", query.get("orderBy", "")),
        )
        return found[: int(query["$top"])] if query.get("$top") else found

    def _post(self, path: str, query: dict[str, str], body: Any) -> Answer:
        owner, _, verb = path.rpartition("/")
        found = self.resources.get(owner.lower())
        if found is None:
            return _no_resource(owner)
        if verb == "cancel":
            if found["properties"]["status"] not in {"Completed", "Failed", "Canceled"}:
                found["properties"]["status"] = "CancelRequested"
            return 202, None, self._begin(found)
        answers = {
            "listKeys": {"primaryKey": "primary", "secondaryKey": "secondary"},
            "token": {"accessToken": "token", "tokenType": "Bearer", "expiryTimeUtc": 0, "refreshAfterTimeUtc": 0},
            "getLogs": {"content": self.failing.get(found["name"], "ready")},
        }
        if verb in answers:
            return 200, answers[verb], {}
        return fault(404, "NoRoute", f"POST {path}")

    def _begin(self, found: Resource | None) -> dict[str, str]:
        """Give the headers of an answer whose operation goes on."""
        name = uuid.uuid4().hex  # whoever still asks after one of another test meets none of this one
        self._operations[name] = [self.steps, found]
        return {
            "Azure-AsyncOperation": f"{self.url}/operations/{name}?api-version=2023-04-01-preview",
            "retry-after-ms": "20",
            "x-ms-async-operation-timeout": "PT1H",
        }

    def _operation(self, path: str) -> Answer:
        state = self._operations.get(path.rpartition("/")[2])
        if state is None:
            return fault(404, "ResourceNotFound", f"There is no operation {path.rpartition('/')[2]}.")
        state[0] -= 1
        if state[0] >= 0:
            return 200, {"status": "InProgress"}, {"retry-after-ms": "20"}
        found = state[1]
        said = self.failing.get(found["name"]) if found and "/deployments/" in found["id"] else None
        if found and "provisioningState" in found["properties"]:
            found["properties"]["provisioningState"] = "Failed" if said else "Succeeded"
        if said:
            return 200, {"status": "Failed", "error": {"code": "BadArgument", "message": said}}, {}
        return 200, {"status": "Succeeded"}, {}


def _action(method: str, path: str) -> str:
    """Name what a request does, as roles allow it."""
    parts = path.rpartition("/providers/")[2].split("/")
    if method == "POST":
        kind = "/".join([parts[0], *parts[1:-1:2]])
        return f"{kind}/{parts[-1]}/action"
    return f"{'/'.join([parts[0], *parts[1::2]])}/{_CHANGES.get(method, 'read')}"


def _no_resource(path: str) -> Answer:
    parts = path.rpartition("/providers/")[2].split("/")
    return fault(404, "ResourceNotFound", f"{'/'.join(parts[-2:])} was not found in {path}")
