"""What is collected is read from the environment that is given; what cannot be used is told, all of it at once."""

import pytest

from service.collection_settings import CollectionSettings
from service.settings import BadSettings

CONTAINER = "https://trey.blob.core.windows.net/collected"


def test_without_a_place_nothing_is_collected() -> None:
    assert CollectionSettings.from_environment({"UNRELATED": "x", "SCORING_COLLECT_DIR": ""}) == CollectionSettings()
    assert not CollectionSettings().collects


def test_values_are_cast() -> None:
    environment = {
        "SCORING_COLLECT_DIR": "collected",
        "SCORING_COLLECT_BLOB_URL": f"{CONTAINER}/",
        "SCORING_COLLECT_AZUREML": "scoring",
        "SCORING_COLLECT_SHARE": "0.25",
        "SCORING_COLLECT_REDACT": "\\d{4,}\n\n(?i)vin [a-z0-9]{17}\n",
        "SCORING_COLLECT_QUEUE": "50",
        "SCORING_COLLECT_QUEUE_CHARACTERS": "5000",
        "SCORING_COLLECT_FLUSH_SECONDS": "1",
    }
    read = CollectionSettings.from_environment(environment)
    patterns = (r"\d{4,}", "(?i)vin [a-z0-9]{17}")
    assert read == CollectionSettings("collected", CONTAINER, "scoring", 0.25, patterns, 50, 5000, 1.0)
    assert read.collects


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SHARE", "1.1", "is '1.1': give a number from 0 to 1"),
        ("SHARE", "nan", "is 'nan': give a number from 0 to 1"),
        ("SHARE", "half", "is 'half': give a number from 0 to 1"),
        ("QUEUE", "0", "is '0': give a whole number above 0"),
        ("FLUSH_SECONDS", "1.5", "is '1.5': give a number above 0, at most 1: what waits is lost by a kill"),
        ("FLUSH_SECONDS", "0", "is '0': give a number above 0"),
        ("REDACT", "ok\n(a", r"pattern '(a' is refused: it is no regular expression: missing )"),
        ("BLOB_URL", "http://trey.blob.core.windows.net/collected", "give a container's address: https://"),
        ("BLOB_URL", "https://trey.blob.core.windows.net/", "give a container's address: https://"),
        ("BLOB_URL", "https://trey.blob.core.windows.net/a/b/c", "give a container's address: https://"),
    ],
)
def test_other_values_are_refused(name: str, value: str, said: str) -> None:
    with pytest.raises(BadSettings) as caught:
        CollectionSettings.from_environment({f"SCORING_COLLECT_{name}": value})
    assert f"SCORING_COLLECT_{name}" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("url", [f"{CONTAINER}?sv=2024&sig=planted-secret", f"https://planted-secret@{CONTAINER[8:]}"])
def test_an_address_with_a_secret_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadSettings) as caught:
        CollectionSettings.from_environment({"SCORING_COLLECT_BLOB_URL": url})
    assert "it holds a signature or a key" in str(caught.value)
    assert "planted-secret" not in str(caught.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(BadSettings) as caught:
        CollectionSettings.from_environment({"SCORING_COLLECT_SHARE": "2", "SCORING_COLLECT_QUEUE": "x"})
    assert len(str(caught.value).splitlines()) == 2
