"""Collected lines in Azure's append blobs: each once, whatever the network does, and scoring goes on."""

import threading
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from service import collection
from service.collection import Queue
from service.collection_settings import CollectionSettings
from service.redaction import Redactor
from service.sink_blob import Blobs
from service.sinks import SinkFault, sinks

from .azurite import Azurite, azurite  # noqa: F401 - a fixture
from .fault_proxy import CUT_ANSWER, CUT_REQUEST, FAULTS, PASS, REFUSE, RESET, FaultProxy, before
from .records import record, until

_numbers = count()


@pytest.fixture
def where() -> str:
    """Give a path in the container that no other test has."""
    return f"parts/test-{next(_numbers)}"


@pytest.fixture
def proxy(azurite: Azurite) -> Iterator[FaultProxy]:  # noqa: F811
    """Give a proxy before the storage."""
    with before(azurite.port) as proxy:
        yield proxy


def lines(*numbers: int) -> list[bytes]:
    return [b'{"n": %d}\n' % number for number in numbers]


def numbers(stored: dict[str, list[dict]]) -> list[int]:
    return [line["n"] for lines in stored.values() for line in lines]


def test_lines_lie_by_day_and_process(azurite: Azurite, where: str) -> None:  # noqa: F811
    sink = Blobs(azurite.container(), where, "p-1")
    sink.write("2026-03-01", lines(1, 2))
    sink.write("2026-03-01", lines(3))
    sink.write("2026-03-02", lines(4))
    sink.close()
    again = Blobs(azurite.container(), where, "p-2")
    again.write("2026-03-02", lines(5))
    again.close()
    assert azurite.lines(where) == {
        f"{where}/2026/03/01/p-1.jsonl": [{"n": 1}, {"n": 2}, {"n": 3}],
        f"{where}/2026/03/02/p-1.jsonl": [{"n": 4}],
        f"{where}/2026/03/02/p-2.jsonl": [{"n": 5}],
    }


def test_a_blob_with_as_many_blocks_as_azure_allows_is_followed_by_another(
    azurite: Azurite,  # noqa: F811
    where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.sink_blob.MOST_BLOCKS", 2)
    sink = Blobs(azurite.container(), where, "p")
    for n in range(5):
        sink.write("2026-03-01", lines(n))
    sink.close()
    stored = {name.removeprefix(f"{where}/2026/03/01/"): found for name, found in azurite.lines(where).items()}
    assert {name: numbers({name: found}) for name, found in stored.items()} == {
        "p.jsonl": [0, 1],
        "p.1.jsonl": [2, 3],
        "p.2.jsonl": [4],
    }


def test_a_blob_that_somebody_took_away_is_begun_again(azurite: Azurite, where: str) -> None:  # noqa: F811
    sink = Blobs(azurite.container(), where, "p")
    sink.write("2026-03-01", lines(1))
    with azurite.container() as container:
        container.delete_blob(f"{where}/2026/03/01/p.jsonl")
    with pytest.raises(SinkFault, match="ResourceNotFoundError"):
        sink.write("2026-03-01", lines(2))
    sink.write("2026-03-01", lines(2))
    sink.close()
    assert numbers(azurite.lines(where)) == [2]


def test_a_container_that_is_not_there_is_a_fault_that_says_so(azurite: Azurite) -> None:  # noqa: F811
    container = azurite.container()
    container.container_name = "nowhere"
    sink = Blobs(container, "parts/staging", "p")
    with pytest.raises(SinkFault, match="ResourceNotFoundError"):
        sink.write("2026-03-01", lines(1))
    sink.close()


@pytest.mark.parametrize("fault", FAULTS)
def test_every_line_is_stored_once_whatever_the_network_does(
    azurite: Azurite,  # noqa: F811
    proxy: FaultProxy,
    where: str,
    fault: str,
) -> None:
    sink = Blobs(azurite.container(proxy.port), where, "p")
    sink.write("2026-03-01", lines(0))
    for n in range(1, 4):
        proxy.fault = fault
        with pytest.raises(SinkFault):
            sink.write("2026-03-01", lines(n))
        with pytest.raises(SinkFault):
            sink.write("2026-03-01", lines(n))
        proxy.fault = PASS
        proxy.drop()
        _write(sink, n)
    sink.close()
    assert numbers(azurite.lines(where)) == [0, 1, 2, 3]


def test_an_append_whose_answer_is_lost_is_not_repeated(
    azurite: Azurite,  # noqa: F811
    proxy: FaultProxy,
    where: str,
) -> None:
    sink = Blobs(azurite.container(proxy.port), where, "p")
    sink.write("2026-03-01", lines(0))
    proxy.fault = CUT_ANSWER
    with pytest.raises(SinkFault):
        sink.write("2026-03-01", lines(1))
    until(lambda: numbers(azurite.lines(where)) == [0, 1])  # carried out, and nobody knows
    proxy.fault = PASS
    _write(sink, 1)
    sink.write("2026-03-01", lines(2))
    sink.close()
    assert numbers(azurite.lines(where)) == [0, 1, 2]


def test_scoring_goes_on_while_the_storage_is_gone_and_records_arrive_again(
    azurite: Azurite,  # noqa: F811
    proxy: FaultProxy,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collection, "LONGEST_WAIT", 0.5)
    settings = CollectionSettings(flush_seconds=0.05, queue=20)
    collector = Queue(Blobs(azurite.container(proxy.port), where, "p"), settings, Redactor())
    kept, names = [], count()

    def put(times: int) -> None:
        for _ in range(times):
            identity = f"r-{next(names)}"
            if collector.put(record(identity)):
                kept.append(identity)

    put(5)
    until(lambda: collector.stored == 5)
    for fault in (RESET, CUT_REQUEST, CUT_ANSWER, REFUSE):
        before_fault = collector.dropped
        proxy.fault = fault
        put(100)  # never waits: with the storage gone, the first 20 are taken, the others dropped
        assert collector.dropped - before_fault == 80
        proxy.fault = PASS
        proxy.drop()
        until(lambda: collector.waiting == 0)
    proxy.latency = 0.2
    put(20)
    until(lambda: collector.waiting == 0)
    proxy.latency = 0.0
    put(3)
    collector.close()
    stored = [line["correlation_id"] for found in azurite.lines(where).values() for line in found]
    assert stored == kept
    assert (collector.dropped, collector.stored) == (320, len(kept))


def test_two_processes_do_not_disturb_each_other(azurite: Azurite, where: str) -> None:  # noqa: F811
    several = [Blobs(azurite.container(), where, f"p-{n}") for n in range(4)]

    def work(sink: Blobs) -> None:
        for n in range(10):
            sink.write("2026-03-01", lines(n))

    threads = [threading.Thread(target=work, args=(sink,)) for sink in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = azurite.lines(where)
    assert [[line["n"] for line in found] for found in stored.values()] == [list(range(10))] * 4


def _write(sink: Blobs, number: int) -> None:
    """Write as the collector does: again, until it is stored."""
    faults: list[Any] = []
    while len(faults) < 5:
        try:
            return sink.write("2026-03-01", lines(number))
        except SinkFault as fault:
            faults.append(fault)
    raise AssertionError(faults)


def test_the_settings_lead_to_a_container_and_nothing_is_sent_before_the_first_write() -> None:
    url = "https://trey.blob.core.windows.net/collected"
    (sink,) = sinks(CollectionSettings(blob_url=url), "parts/staging")
    assert isinstance(sink, Blobs)
    assert sink._container.url == url
    assert type(sink._container.credential).__name__ == "DefaultAzureCredential"
    sink.close()
