from pathlib import Path

import pytest

from runner import memory


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Give a function that makes the files of a system."""

    def make(groups: str, **files: str) -> None:
        (tmp_path / "cgroup").write_text(groups, encoding="utf-8")
        for name, content in files.items():
            path = tmp_path / "sys" / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
        monkeypatch.setattr(memory, "MOUNT", tmp_path / "sys")

    return make


def test_version_2_counts_in_the_groups_own_folder(system) -> None:
    system("0::/a/b\n", a__b__memory_dot_events="low 0\noom 3\noom_kill 2\n", memory_dot_events="oom_kill 9\n")
    assert memory.oom_kills() == 2


def test_inside_of_a_container_the_folder_is_the_mount(system) -> None:
    system("0::/not/seen/here\n", memory_dot_events="oom_kill 9\n")
    assert memory.oom_kills() == 9


def test_version_1_counts_beside_the_memory_controller(system) -> None:
    system(
        "5:devices:/\n4:cpu,memory:/a\n0::/\n",
        memory__a__memory_dot_oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
    )
    assert memory.oom_kills() == 4


@pytest.mark.parametrize("content", ["", "oom 3\n", "oom_kill many\n", "nonsense\n"])
def test_what_does_not_tell_is_none(system, content: str) -> None:
    system("0::/\n", memory_dot_events=content)
    assert memory.oom_kills() is None


def test_a_system_without_groups_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "none")
    assert memory.oom_kills() is None
