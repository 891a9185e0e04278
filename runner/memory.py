"""How often the system has killed a process of this control group for want of memory.

Linux counts it: `oom_kill` in memory.events (cgroup v2) or memory.oom_control (v1), see
https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files. A count that grew while a kernel ran tells an
out-of-memory kill from any other.
"""

from pathlib import Path

CGROUPS = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")


def oom_kills() -> int | None:
    """Give the count of this process's control group; None where the system does not tell."""
    try:
        groups = [line.split(":", 2) for line in CGROUPS.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return None
    for _, controllers, path in groups:
        if controllers == "":
            candidates = [MOUNT / path.lstrip("/") / "memory.events", MOUNT / "memory.events"]
        elif "memory" in controllers.split(","):
            candidates = [
                MOUNT / "memory" / path.lstrip("/") / "memory.oom_control",
                MOUNT / "memory/memory.oom_control",
            ]
        else:
            continue
        for file in candidates:
            if (count := _count(file)) is not None:
                return count
    return None


def _count(file: Path) -> int | None:
    try:
        pairs = dict(line.split() for line in file.read_text(encoding="utf-8").splitlines())
        return int(pairs["oom_kill"])
    except (OSError, ValueError, KeyError):
        return None
