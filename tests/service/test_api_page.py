"""docs/API.md does what it says: its commands and programs are run, its tables are held to the code."""

import ast
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from service.openapi import REFUSALS

from ..fixtures_model import MakeModel
from ..project import ROOT
from . import api_page
from .conftest import Start
from .endpoints import place, write_state
from .test_problems import raised

TEXT = api_page.PAGE.read_text(encoding="utf-8")
TOKEN = "a-token-of-the-page"
OPEN, GUARDED = "127.0.0.1:8080", "127.0.0.1:8081"  # where the page asks
COMMANDS = [pair for pair in api_page.commands(TEXT) if pair[0].startswith("curl ")]
ANOTHER = {"digest", "correlation_id", "decisive"}  # what differs from one model and request to the next
BY_ROUTER = {(404, "not-found"), (405, "method-not-allowed")}  # whose kinds are the status's own phrase


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory, make_model: MakeModel) -> Path:
    """Give an endpoint with two slots, as during a release."""
    folder = tmp_path_factory.mktemp("endpoints") / "connected-car" / "staging"
    place(folder, "blue", make_model(name="connected-car", scale=10, bias=-1))
    place(folder, "green", make_model(name="connected-car", scale=10, bias=-2))
    write_state(folder, {"blue": 1, "green": 2}, {"blue": 100})
    return folder


@pytest.fixture(scope="module")
def asked(start: Start, endpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the address of the service that the page asks."""
    collected = str(tmp_path_factory.mktemp("collected"))
    return urlsplit(
        start("--endpoint", str(endpoint), environment=os.environ | {"SCORING_COLLECT_DIR": collected})[1]
    ).netloc


@pytest.fixture(scope="module")
def guarded(start: Start, endpoint: Path) -> str:
    """Give the address of the service with a token, whose hash is made as the page says."""
    [hashed] = re.findall(r"^\$ SCORING_TOKEN_SHA256=(\$\(.*\)) trey serve", TEXT, re.MULTILINE)
    environment = os.environ | {"SCORING_TOKEN_SHA256": shell(f"echo {hashed}")}
    return urlsplit(start("--endpoint", str(endpoint), environment=environment)[1]).netloc


def shell(command: str) -> str:
    """Run a command of the page and give what it prints."""
    environment = os.environ | {"TOKEN": TOKEN, "no_proxy": "*"}
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def alike(shown: Any, found: Any, key: str = "") -> bool:
    """Tell whether two answers are the same, but for what depends on the model and the moment."""
    if type(shown) is not type(found):
        return False
    if isinstance(shown, dict):
        return list(shown) == list(found) and all(alike(shown[name], found[name], name) for name in shown)
    if isinstance(shown, list):
        return len(shown) == len(found) and all(alike(one, other, key) for one, other in zip(shown, found, strict=True))
    return isinstance(shown, float) or key in ANOTHER or bool(shown == found)


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
@pytest.mark.parametrize(("command", "shown"), COMMANDS, ids=[command[:70] for command, _ in COMMANDS])
def test_the_commands_of_the_page_print_what_it_shows(asked: str, guarded: str, command: str, shown: str) -> None:
    found = json.loads(shell(command.replace(OPEN, asked).replace(GUARDED, guarded)))
    assert alike(json.loads(shown), found), found


def test_no_command_of_the_page_goes_untested() -> None:
    others = [command for command, _ in api_page.commands(TEXT) if not command.startswith("curl ")]
    assert [command.partition("=")[0] for command in others] == ["TOKEN", "SCORING_TOKEN_SHA256"]
    assert len(COMMANDS) >= 10


def test_the_client_of_the_page_is_answered(asked: str) -> None:
    client = api_page.programs(TEXT)[1].replace(OPEN, asked)
    done = subprocess.run([sys.executable, "-c", client], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("non-compliant\n", "")


def test_the_client_of_the_page_asks_again_where_a_connection_breaks() -> None:
    whole = b'{"results": [{"label": "non-compliant"}]}'
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(whole)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = api_page.programs(TEXT)[1].replace(OPEN, f"127.0.0.1:{listener.getsockname()[1]}")
        client = client.replace("time.sleep(", "print(")  # how long it would wait
        command = [sys.executable, "-c", client]
        listener.settimeout(30)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            for answer in (b"", head + whole[:9], head + whole):  # none, half of one, a whole one
                connection, _ = listener.accept()
                with connection:
                    received = b""
                    while b"poor iron" not in received:
                        received += (part := connection.recv(65_536))
                        assert part
                    connection.sendall(answer)
            assert process.communicate(timeout=30) == ("1.0\n2.0\nnon-compliant\n", "")


def test_tritons_client_prints_what_the_page_shows(programs: Path, asked: str) -> None:
    client = api_page.programs(TEXT)[0].replace(OPEN, asked)
    command = [str(programs / "python"), "-c", client]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout in TEXT, done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_every_problem_stands_in_the_table_and_no_other() -> None:
    rows = [(int(status), kind.strip("`")) for status, kind, *_ in api_page.table(TEXT, "status")]
    made = {(ast.literal_eval(call.args[0]), kind_of(name, call)) for name, call in raised()}
    assert sorted(rows) == sorted(made | BY_ROUTER)
    assert {str(status) for status, _ in rows} == REFUSALS.keys() | {"431"}  # which no path answers: the transport does


def kind_of(name: str, call: ast.Call) -> str:
    """Give the kind of a problem that the code makes."""
    place = {"Problem": 1, "busy": 3}[name]
    return str(ast.literal_eval(call.args[place])) if len(call.args) > place else "busy"


@pytest.mark.parametrize(("status", "kind", "method"), [(404, "not-found", "GET"), (405, "method-not-allowed", "PUT")])
def test_the_router_makes_these(asked: str, status: int, kind: str, method: str) -> None:
    answer = httpx.request(method, f"http://{asked}/{'score' if status == 405 else 'nowhere'}", trust_env=False)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:trey:problem:{kind}")


def test_the_table_of_settings_is_that_of_the_code() -> None:
    rows = "".join(api_page.variables())
    assert f"{api_page.HEAD}{rows}\n" in TEXT, "python -m tests.service.api_page writes it"


def test_every_variable_of_the_service_is_on_the_page() -> None:
    modules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "service").rglob("*.py"))
    named = set(re.findall(r"SCORING_[A-Z0-9_]+(?<!_)\b", modules))
    assert named <= set(re.findall(r"SCORING_[A-Z0-9_]+", TEXT))


def test_every_metric_stands_in_the_table_and_no_other(asked: str) -> None:
    served = httpx.get(f"http://{asked}/metrics", trust_env=False).text
    names = [name for cells in api_page.table(TEXT, "metric") for name in re.findall(r"`(\w+)`", cells[0])]
    assert sorted(names) == sorted(re.findall(r"^# TYPE (\w+)", served, re.MULTILINE))


def test_what_the_page_says_of_retries_is_what_its_client_does() -> None:
    [said] = re.findall(r"\*\*Retry only ([\d, and]+)\*\*", TEXT)
    [does] = re.findall(r"refused.code not in \(([\d, ]+)\)", TEXT)
    assert re.findall(r"\d+", said) == re.findall(r"\d+", does)
