"""Lines of Azure ML's data collector in blob storage: each once, copies told from requests by their time."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from delivery.blob_observations import BlobReader
from delivery.mirroring import SKEW, Change, Mirroring

from ..service.azurite import Azurite

NOW = datetime.now(UTC)
_names = count()


class Written:
    """An endpoint's part of the container."""

    def __init__(self, container: ContainerClient):
        self.container = container
        self.endpoint = f"parts-{next(_names)}"

    def reader(self, mirrored: Any = lambda *_: False, since: datetime = NOW - timedelta(minutes=5)) -> BlobReader:
        slots = ("blue", "green")
        return BlobReader(
            self.container,
            endpoint=self.endpoint,
            slots=slots,
            collection="scoring",
            since=since,
            mirrored=mirrored,
        )

    def append(self, slot: str, content: bytes, moment: datetime = NOW, name: str = "a.jsonl") -> None:
        where = f"modelDataCollector/{self.endpoint}/{slot}/scoring/{moment:%Y/%m/%d/%H}/{name}"
        blob = self.container.get_blob_client(where)
        if not blob.exists():
            blob.create_append_blob()
        blob.append_block(content)


@pytest.fixture
def written(azurite: Azurite) -> Any:
    with azurite.container() as container:
        yield Written(container)


def event(*answers: Any, **more: Any) -> bytes:
    return json.dumps({"specversion": "1.0", "data": list(answers), **more}).encode() + b"\n"


def answer(number: int, moment: datetime = NOW, **more: Any) -> dict[str, Any]:
    said = {"time": moment.isoformat(), "correlation_id": f"r{number}", "item": 0, "label": "compliant", "status": 200}
    return said | {"slot": None, "mirrored": False, "digest": "d", "latency_ms": 1.5} | more


def test_each_line_is_given_once_and_only_when_it_is_whole(written: Written) -> None:
    reader = written.reader()
    assert reader.read() == []
    written.append("blue", event(answer(1)) + event(answer(2))[:20])
    written.append("green", event(answer(3)))
    assert [(seen.slot, seen.correlation_id) for seen in reader.read()] == [("blue", "r1"), ("green", "r3")]
    assert reader.read() == []
    written.append("blue", event(answer(2))[20:])
    written.append("blue", event(answer(4)), name="b.jsonl")
    assert sorted(seen.correlation_id for seen in reader.read()) == ["r2", "r4"]
    assert reader.unreadable == 0


def test_a_batch_has_the_answers_of_several_requests(written: Written) -> None:
    written.append("blue", event(answer(1), answer(2, item=1), answer(3, status=500, label=None)))
    found = written.reader().read()
    assert [(seen.correlation_id, seen.item, seen.status, seen.label) for seen in found] == [
        ("r1", 0, 200, "compliant"),
        ("r2", 1, 200, "compliant"),
        ("r3", 0, 500, None),
    ]
    assert {(seen.digest, seen.latency_ms) for seen in found} == {("d", 1.5)}


def test_what_cannot_be_read_is_counted_and_passed_over(written: Written) -> None:
    lines = [b"{\n", b'{"data": "text"}\n', event("text"), event({"time": "soon"}), event(answer(1))]
    written.append("blue", b"".join(lines))
    reader = written.reader()
    assert [seen.correlation_id for seen in reader.read()] == ["r1"]
    assert reader.unreadable == 4


def test_what_came_before_is_passed_over(written: Written) -> None:
    yesterday = NOW - timedelta(days=1)
    written.append("blue", event(answer(1, yesterday)), yesterday)
    written.append("blue", event(answer(2, NOW - timedelta(seconds=1)), answer(3)))
    assert [seen.correlation_id for seen in written.reader(since=NOW).read()] == ["r3"]


def test_copies_are_told_by_their_time(written: Written) -> None:
    mirroring = Mirroring()
    with mirroring.changing({"green": 50}):
        pass
    with mirroring.changing({}):
        pass
    began, ended = (change.begun + SKEW for change in mirroring._changes)
    mirroring._changes[1] = Change(ended + timedelta(minutes=1), ended + timedelta(minutes=2), frozenset())
    moments = [began - timedelta(minutes=1), began + timedelta(seconds=20), ended + timedelta(seconds=90)]
    moments.append(ended + timedelta(minutes=3))
    written.append("green", event(*(answer(number, moment) for number, moment in enumerate(moments))))
    written.append("blue", event(*(answer(number, moment) for number, moment in enumerate(moments))))
    found = written.reader(mirroring.at, began - timedelta(minutes=2)).read()
    assert [(seen.slot, seen.correlation_id, seen.mirrored) for seen in found] == [
        ("blue", "r0", False),
        ("blue", "r1", False),
        ("blue", "r2", False),
        ("blue", "r3", False),
        ("green", "r0", False),
        ("green", "r1", True),  # r2 came while it changed: nobody can tell
        ("green", "r3", False),
    ]
