"""A secret is given by reference, reaches the notebook, and is found in no byte of what a run leaves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from runner import record, references
from runner.aftermath import settle
from runner.errors import BadRequest

from .conftest import GLUE, Project
from .planted import CORE, MULTILINE, SECRET, leaks

PARAMETERS = """
password: str = "env:PLANTED"  # of the store
key: str = "x"  # of the signature
number: int = 1  # plain
output_dir: str = "x"
"""
HONEST = f"from hashlib import sha256\n{GLUE}\nglue('used', sha256(password.encode() + key.encode()).hexdigest())"
# Each cell lets the secret out in other ways; `half` cuts it in two.
LEAKS = {
    "printed": "print(password, flush=True); print(repr(key)); import sys; print(password, file=sys.stderr)",
    "in two messages": "half = len(password) // 2\nprint(password[:half], end='', flush=True)\nimport time\n"
    "time.sleep(2.2)\nprint(password[half:], flush=True)",
    "letter by letter": "for letter in password:\n    print(letter, end='', flush=True)",
    "flooded": "print('x' * 999_990, end='')\nfor _ in range(40):\n    print(password, 'y' * 100_000, flush=True)",
    "written over": "print(password, end='\\rdone\\n')",
    "result": "password",
    "shown": "from IPython.display import HTML, JSON, Markdown, display\n"
    "import html\ndisplay(HTML('<b>' + html.escape(password) + '</b>'), Markdown(f'**{password}**'))\n"
    "display(JSON({password: [key]}))",
    "updated": "handle = display('nothing', display_id=True)\nhandle.update({'now': password})",
    "encoded": "import base64, json, urllib.parse\nraw = password.encode()\n"
    "print(*(base64.b64encode(b'.' * n + raw + b'.' * m).decode() for n in range(4) for m in range(4)))\n"
    "print(raw.hex(), raw.hex().upper(), urllib.parse.quote(password), urllib.parse.quote_plus(password))\n"
    "print(json.dumps(password), json.dumps({'a': json.dumps(password)}))",
    "as others escape": "import base64, html\n"
    "print(html.escape(password, quote=False), html.escape(password).replace('&quot;', '&#34;'))\n"
    "print(str(password.encode()))\n"
    'print(urllib.parse.quote(password, safe="!#$%&\'()*+,/:;=?@[]~"))\n'
    "print(base64.encodebytes(b'.' * 40 + password.encode() + b'.' * 40).decode())\n"
    "import pandas\npandas.DataFrame({password: [key, password]})",
    "coloured": "print('\\x1b[31m' + password[:5] + '\\x1b[0m' + password[5:])",
    "metadata": "display({'text/plain': 'x'}, metadata={'note': password}, raw=True)",
    "below python": "import os\nos.write(2, password.encode())\nos.system('printenv PLANTED')",
    "glued": "glue('leaked', {password: key})",
}
RAISES = {
    "raised": "raise ValueError(f'no entry with {password!r}')",
    "named": "type(password, (Exception,), {})\nraise type(password, (Exception,), {})(key)",
    "in a frame": "%xmode Verbose\ndef connect(secret, url):\n    return 1 / 0\nconnect(password, 'me:' + password)",
    "last words": "import os\nos.write(2, b'fatal: ' + password.encode())\nos.kill(os.getpid(), 9)",
    "bad input": "class BadInput(Exception): pass\nraise BadInput(key + password)",
    "left early": "import sys\nsys.exit(password)",
}


@pytest.fixture
def planted(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Give a project of one phase with two secrets: one in the environment, one in a file."""
    monkeypatch.setenv("PLANTED", SECRET)
    project.write("elsewhere/key.pem", f"{MULTILINE}\n")
    project.write("params/default.yaml", "use: {key: 'file:../elsewhere/key.pem'}\n")
    project.pipeline("phases: [use]\nscraps: {use: {used: what came of it, leaked: nothing}}\n")
    return project


def all_leaks(project: Project) -> list[str]:
    return leaks(project.root / "runs", SECRET, MULTILINE, MULTILINE.splitlines()[1])


def test_the_notebook_has_the_secret_and_the_run_folder_its_reference(planted: Project) -> None:
    planted.notebook("use", HONEST, parameters=PARAMETERS)
    found = planted.run(sets=("use.number=2",))
    from hashlib import sha256

    digest = sha256((SECRET + MULTILINE).encode()).hexdigest()
    assert found["phases"]["use"]["scraps"]["used"]["value"] == digest
    file = f"file:{planted.root / 'elsewhere' / 'key.pem'}"
    references_of = found["phases"]["use"]["params"]
    assert list(references_of.values()) == ["env:PLANTED", file, 2]
    executed = nbformat.read(planted.run_dir / "notebooks" / "use.ipynb", as_version=4)
    [injected] = [cell for cell in executed.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert injected.source.startswith("# Parameters\nnumber = 2\n")
    assert "from trey_secrets import password  # env:PLANTED\n" in injected.source
    assert executed.metadata.papermill.parameters["password"] == "env:PLANTED"  # pragma: allowlist secret
    assert "env:PLANTED" in (planted.run_dir / "params.yaml").read_text(encoding="utf-8")
    assert all_leaks(planted) == []


def test_what_changes_behind_a_reference_is_no_change(planted: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.notebook("use", HONEST, parameters=PARAMETERS)
    planted.run(run_id="first")
    monkeypatch.setenv("PLANTED", "rotated!")
    assert planted.plan()["use"].status == "cached"
    monkeypatch.setenv("ROTATED", "rotated!")
    assert (
        planted.plan(sets=("use.password=env:ROTATED",))["use"].why == "params use.password env:PLANTED → env:ROTATED"
    )


def test_it_is_found_nowhere_whichever_way_it_came_out(planted: Project) -> None:
    planted.notebook("use", HONEST, *LEAKS.values(), parameters=PARAMETERS)
    found = planted.run()
    assert (found["status"], found["phases"]["use"]["message"]) == ("succeeded", None)
    assert all_leaks(planted) == []
    whole = (planted.run_dir / "notebooks" / "use.ipynb").read_text(encoding="utf-8")
    assert whole.count("[redacted: use.password]") >= 20
    assert "[redacted: use.key]" in whole
    [log] = (planted.run_dir / "notebooks").glob("*.log")
    assert log.read_text(encoding="utf-8").count("[redacted: use.password]") == 40
    leaked = found["phases"]["use"]["scraps"]["leaked"]["value"]
    assert leaked == {"[redacted: use.password]": "[redacted: use.key]"}


@pytest.mark.parametrize("variable", ["SYSTEM_ACCESSTOKEN", "AZUREML_RUN_TOKEN"])
def test_neither_is_a_token_that_a_platform_hands_over(
    project: Project, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, SECRET)
    project.notebook("use", "import os\nprint(dict(os.environ))", parameters='output_dir: str = "x"')
    project.pipeline("phases: [use]\n")
    assert project.run()["status"] == "succeeded"
    whole = (project.run_dir / "notebooks" / "use.ipynb").read_text(encoding="utf-8")
    assert f"[redacted: variable {variable}]" in whole
    assert leaks(project.root / "runs", SECRET) == []


@pytest.mark.parametrize("source", RAISES.values(), ids=RAISES)
def test_it_is_not_in_what_is_said_of_a_failure(planted: Project, source: str) -> None:
    planted.notebook("use", source, parameters=PARAMETERS)
    found = planted.run()
    assert found["status"] == "failed"
    said = json.dumps([found, planted.watcher.told], default=str)
    assert "[redacted: use." in said
    assert CORE not in said
    assert all_leaks(planted) == []


def test_a_save_in_the_middle_of_a_cell_holds_no_half_of_it(planted: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = []
    from runner import execute as executing

    write = executing.write_atomic

    def keep(path: Path, content: bytes, *, durable: bool = True) -> None:
        saved.append(content.decode())
        write(path, content, durable=durable)

    monkeypatch.setattr(executing, "_SAVE_EVERY", 0.0)
    monkeypatch.setattr(executing, "_SAVE_SHARE", 1000.0)
    monkeypatch.setattr(executing, "write_atomic", keep)
    source = LEAKS["in two messages"].replace("2.2", "0.3") + "\nprint('more', flush=True); time.sleep(0.2); print('x')"
    planted.notebook("use", "print('begin')", source, parameters=PARAMETERS)
    assert planted.run()["status"] == "succeeded"
    assert len(saved) > 8
    assert [text for text in saved if "pa$$" in text] == []


def test_an_output_that_holds_it_is_deleted_and_fails_the_phase(planted: Project) -> None:
    write = "Path(output_dir, 'sub').mkdir()\nPath(output_dir, 'sub', 'url.txt').write_text('x' + password)\n"
    planted.notebook("use", f"from pathlib import Path\n{write}Path(output_dir, 'ok').touch()", parameters=PARAMETERS)
    found = planted.run()["phases"]["use"]
    assert (found["status"], found["cause"]) == ("failed", "leaked-secret")
    said = "a secret stood in its output, in sub/url.txt ([redacted: use.password]); what held it was deleted"
    assert found["message"] == said
    assert [path.name for path in (planted.run_dir / "use").rglob("*") if path.is_file()] == ["ok"]
    assert "Let the notebook" in (planted.run_dir / "report.html").read_text().replace("Next: l", "L")
    assert all_leaks(planted) == []


@pytest.mark.parametrize(
    "write",
    [
        "Path(output_dir, f'dump-{password.encode().hex()}.txt').touch()",
        "Path(output_dir, password.encode().hex()).mkdir()\nPath(output_dir, password.encode().hex(), 'a').touch()",
        "Path(output_dir, 'link').symlink_to('/' + password.encode().hex())",
        "import json\nstates = [{'uri': f'https://u:{password}@h', 'sha256': 'x'}]\n"
        "Path(output_dir, 'external.json').write_text(json.dumps(states))",
        "import json\nPath(output_dir, 'external.json').write_text(json.dumps([{'url': password}]))",
        "Path(output_dir, 'a').write_text(password)\nimport os\nos.kill(os.getpid(), 9)",
        "Path(output_dir, 'a').write_text(password)\nraise ValueError",
    ],
)
def test_neither_names_nor_links_nor_external_states_hold_it(planted: Project, write: str) -> None:
    planted.notebook("use", f"from pathlib import Path\n{write}", parameters=PARAMETERS)
    found = planted.run()
    assert found["status"] == "failed"
    assert "a secret stood in its output" in str(found["phases"]["use"]["message"])
    assert all_leaks(planted) == []
    assert [path.name for path in (planted.run_dir / "use").rglob("*")] == []
    assert CORE not in json.dumps([found, planted.watcher.told], default=str)


def test_a_run_that_is_torn_apart_leaves_none_in_its_output(planted: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.notebook(
        "use", "from pathlib import Path\nPath(output_dir, 'a').write_text(password)", parameters=PARAMETERS
    )

    def torn(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("runner.scraps.read", torn)
    assert planted.run()["status"] == "interrupted"
    assert all_leaks(planted) == []


def test_what_a_killed_runner_left_is_deleted_by_the_next_command(planted: Project) -> None:
    planted.notebook("use", HONEST, parameters=PARAMETERS)
    planted.run(run_id="one")
    found = record.load(planted.run_dir)
    found["status"], found["phases"]["use"]["status"] = "running", "running"
    record.save(planted.run_dir, found)
    (planted.run_dir / "use" / "half").write_text(SECRET)
    settle(planted.run_dir)
    assert all_leaks(planted) == []


def test_an_ordinary_word_is_no_secret(planted: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.notebook("use", HONEST, parameters=PARAMETERS)
    monkeypatch.setenv("PLANTED", "outputs")
    with pytest.raises(BadRequest, match="it is a word that stands in every notebook or record"):
        planted.run()


def test_a_list_of_a_notebook_and_the_file_of_a_store_are_no_references(planted: Project) -> None:
    source = 'tags: list[str] = ["env:prod"]\nmodel_store: str = "file:./models"\noutput_dir: str = "x"'
    planted.notebook("use", "print(tags, model_store)", parameters=source)
    planted.write("params/default.yaml", "")
    assert planted.run()["status"] == "succeeded"


def test_a_single_phase_keeps_it_too(planted: Project) -> None:
    planted.notebook("use", HONEST, LEAKS["printed"], parameters=PARAMETERS)
    command = [sys.executable, "-m", "runner", "phase", "use", "--out", "out", "--set", "use.password=env:PLANTED"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=planted.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert leaks(planted.root / "out", SECRET, MULTILINE) == []
    assert (
        json.loads((planted.root / "out" / "_phase" / "phase.json").read_text())["phases"]["use"]["status"]
        == "succeeded"
    )
    assert "pa$$" not in done.stdout + done.stderr


def test_a_reference_that_leads_nowhere_is_told_before_anything_starts(
    planted: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted.notebook("use", HONEST, parameters=PARAMETERS)
    planted.write("empty", "ab\n")
    monkeypatch.delenv("PLANTED")
    for value, said in {
        "file:nothing": f"file:{planted.root}/nothing: the file cannot be read (No such file or directory)",
        "file:empty": f"file:{planted.root}/empty: it holds 2 characters; a secret has at least 6",
        "keyvault:place": "keyvault:place: it must be keyvault:VAULT/NAME",
    }.items():
        with pytest.raises(BadRequest) as fault:
            planted.run(sets=(f"use.key={value}",))
        assert fault.value.faults == (
            "use.password is env:PLANTED: the environment has no variable PLANTED", f"use.key is {said}"
        )  # fmt: skip
    assert not (planted.root / "runs").exists()


def test_a_reference_stands_only_where_it_is_resolved(planted: Project) -> None:
    planted.notebook("use", "1", parameters='source: str = ""\nnames: list[str] = []\nitems: dict = {}')
    with pytest.raises(BadRequest) as fault:
        planted.run(sets=("use.source=env:A", 'use.names=["env:B"]', 'use.items={a: {b: "keyvault:c/d"}}'))
    apart = "holds a reference to a secret; give each secret a parameter of its own"
    assert [text for text in fault.value.faults if "key" not in text] == [
        "use.source is env:A, a reference to a secret; give a path or an address, whose content counts as an input",
        f"use.names {apart}",
        f"use.items {apart}",
    ]


@pytest.mark.parametrize("value", ["env:", "environment:x", "file:///tmp/x", "http://env:x", "Env:X", "prod", 3, None])
def test_what_is_no_reference_stays_a_value(value: object) -> None:
    assert not references.is_reference(value)
