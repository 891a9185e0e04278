"""Goes through courses of a deployment in children that die before one of their changes: STORE NEW (a model folder).

A line on standard input names a course and how many changes it may ask of Azure; the answer is the child's exit code.
"""

import os
import re
import signal
import sys
import traceback
from pathlib import Path

import azure.ai.ml.entities
import azure.identity
import azure.storage.blob  # noqa: F401 - all three are imported once for all children

from delivery import host_azureml
from delivery.endpoint import Endpoint
from delivery.files import model_manifest

CHANGE = re.compile(rb"(PUT|PATCH|DELETE|POST) \S*/providers/Microsoft\.MachineLearningServices/")


def tried(endpoint: Endpoint, new: Path) -> str:
    """Bring a model to half of the traffic, and give its slot."""
    slot = endpoint.place(new, 3, model_manifest(new)[1])
    endpoint.mirror(slot.name, endpoint.most_mirrored)
    endpoint.shift(slot.name, 50)
    return slot.name


def go_live(endpoint: Endpoint, new: Path) -> None:
    endpoint.finish(tried(endpoint, new))
    endpoint.release()


def take_back(endpoint: Endpoint, new: Path) -> None:
    name = tried(endpoint, new)
    endpoint.roll_back()
    endpoint.discard(name)


def go_back(endpoint: Endpoint, _: Path) -> None:
    endpoint.roll_back()
    endpoint.release()


def claim(endpoint: Endpoint, _: Path) -> None:
    endpoint.claim()
    endpoint.release()


COURSES = {"go-live": go_live, "take-back": take_back, "go-back": go_back, "claim": claim}


def die_after(changes: int) -> None:
    left = changes

    def watch(event: str, arguments: tuple) -> None:
        nonlocal left
        if event == "http.client.send" and CHANGE.match(bytes(arguments[1][:500])):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def main(store: str, new: str) -> None:
    host_azureml.PAUSE = 0.05
    warm = Endpoint(store, "parts", "warm", wait=0)  # what the packages import as they go is imported here, and once
    warm.finish(warm.place(Path(new), 1, model_manifest(Path(new))[1]).name)
    warm.release()
    host_azureml._client.cache_clear()  # its connections are not for children
    host_azureml._client(host_azureml._workspace(store))  # not yet connected
    for line in sys.stdin:
        course, changes = line.split()
        child = os.fork()
        if child == 0:
            try:
                die_after(int(changes))
                COURSES[course](Endpoint(store, "parts", "staging", wait=0), Path(new))
            except BaseException:  # noqa: BLE001 - it is told of, and the child ends
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201


main(*sys.argv[1:])
