"""What the slots of an endpoint are for: traffic, copies, and the way back. Values in, values out."""

from typing import TypedDict

SLOTS = ("blue", "green")
SCHEMA = 1
FULL, NONE = 100, 0  # per cent of the traffic


class Held(TypedDict):
    """The model in a slot."""

    version: int
    digest: str


class State(TypedDict):
    """What an endpoint's slots are for.

    Attributes:
        live: The slot that was confirmed last; None where nothing ever was.
        previous: The slot that was live before it and can be gone back to; None where there is none.
        stepped_back: Whether `previous` is what a step back took away, so that another one would lead forth again.
        traffic: Whole per cents of the requests that each slot answers; their sum is 100 where something is live.
        mirror: Whole per cents of the requests of which a slot gets copies; its answers are never sent.
    """

    schema: int
    live: str | None
    previous: str | None
    stepped_back: bool
    slots: dict[str, Held | None]
    traffic: dict[str, int]
    mirror: dict[str, int]


def settled(
    live: str | None, previous: str | None, slots: dict[str, Held | None], *, stepped_back: bool = False
) -> State:
    """Give the state in which the live slot has all traffic."""
    traffic = {name: FULL if name == live else NONE for name in SLOTS}
    stepped_back = stepped_back and previous is not None
    return State(
        schema=SCHEMA,
        live=live,
        previous=previous,
        stepped_back=stepped_back,
        slots=slots,
        traffic=traffic,
        mirror={},
    )


def empty() -> State:
    """Give the state of an endpoint that nobody deployed to."""
    return settled(None, None, dict.fromkeys(SLOTS))


def shared(live: str | None, name: str, percent: int) -> dict[str, int]:
    """Give the traffic of which one slot has a share, and the live one the rest."""
    return {slot: percent if slot == name else FULL - percent if slot == live else NONE for slot in SLOTS}


def fault(state: State) -> str:
    """Say what makes this no state of an endpoint; empty where all of it is sound."""
    live, previous, slots = state["live"], state["previous"], state["slots"]
    filled = [name for name in SLOTS if slots[name] is not None]
    faults = {
        f"schema {state['schema']!r} instead of {SCHEMA}": state["schema"] != SCHEMA,
        "a slot holds no version and digest": not all(_is_held(slots[name]) for name in filled),
        f"slot {live} is live and empty": live is not None and live not in filled,
        f"slot {previous} is to go back to, but empty or live": previous is not None
        and (previous not in filled or previous == live),
        "stepped_back is neither true nor false": not isinstance(state["stepped_back"], bool),
        "the per cents are no whole numbers from 0 to 100": not all(
            map(is_percent, [*state["traffic"].values(), *state["mirror"].values()])
        ),
    }
    if found := [fault for fault, is_so in faults.items() if is_so]:
        return "; ".join(found)
    reached = {name for name, percent in state["traffic"].items() if percent}
    sum_due = FULL if live else NONE
    faults = {
        f"the traffic is {sum(state['traffic'].values())} % instead of {sum_due} %": sum(state["traffic"].values())
        != sum_due,
        "a slot without a model gets traffic": not reached <= set(filled),
        "a mirror leads to a slot that is live or empty": not state["mirror"].keys() <= set(filled) - {live},
        "requests are mirrored where nothing is live": bool(state["mirror"]) and live is None,
    }
    return "; ".join(fault for fault, is_so in faults.items() if is_so)


def is_percent(value: object) -> bool:
    """Tell whether a value is a whole number from 0 to 100."""
    return isinstance(value, int) and not isinstance(value, bool) and NONE <= value <= FULL


def _is_held(held: Held | None) -> bool:
    return (
        held is not None
        and isinstance(held["version"], int)
        and not isinstance(held["version"], bool)
        and isinstance(held["digest"], str)
    )
