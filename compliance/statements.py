"""What people say of a model: what it is for and not for, whom to ask, why it was made. No measurement tells that.

A text that nobody wrote is called missing, with what to give, and never made up.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from compliance.errors import BadInput

FIELDS = (
    "title",
    "details",
    "contact",
    "primary_use",
    "secondary_use",
    "out_of_scope_use",
    "motivation",
    "caveats",
)
MODEL = "model"  # names the model that the texts speak of
PARAMETER = "evaluate.datasheet"


@dataclass(frozen=True)
class Statements:
    """What was said of one model.

    Attributes:
        texts: By field; only those that somebody wrote.
        of_another: Name of the model that the texts given speak of, where that is another; empty otherwise.
    """

    texts: Mapping[str, str]
    of_another: str = ""

    def __getitem__(self, field: str) -> str:
        """Give the text of a field, or what to give so that there is one."""
        if field in self.texts:
            return self.texts[field]
        if self.of_another:
            return f"not stated: {PARAMETER} speaks of {self.of_another}; give one of this model, with `{field}` in it"
        return f"not stated: give `{field}` in {PARAMETER}"

    @property
    def missing(self) -> list[str]:
        """The fields that nobody wrote."""
        return [field for field in FIELDS if field not in self.texts]


def read(given: Mapping[str, str], model_name: str) -> Statements:
    """Read what people wrote.

    Params files lie in layers, and a scenario of one's own begins with those of another: texts that name another model
    are left out, so that no card praises one model for what another was made for.

    Args:
        given: Texts by field; `model` names the model they speak of, and may be left out.
        model_name: The model that the card is of.

    Raises:
        BadInput: With every field that is unknown or holds no text.
    """
    if faults := [fault for field, text in given.items() if (fault := _fault(field, text))]:
        raise BadInput(*faults)
    if (of := given.get(MODEL, model_name)) != model_name:
        return Statements({}, of_another=of)
    return Statements({field: given[field].strip() for field in FIELDS if given.get(field, "").strip()})


def _fault(field: str, text: object) -> str:
    if field not in (known := (MODEL, *FIELDS)):
        near = difflib.get_close_matches(field, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        return f"{PARAMETER} has no field {field!r}; {hint}"
    return "" if isinstance(text, str) else f"{PARAMETER}: {field} is {text!r}; give a text, in quotes"
