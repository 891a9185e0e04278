"""What a script prints so that Azure Pipelines does something: `##vso[…]`, read by the agent from a step's output."""

_IN_DATA = {"%": "%AZP25", "\r": "%0D", "\n": "%0A"}  # how the agent writes these behind the bracket; "%" comes first
_IN_PROPERTIES = _IN_DATA | {"]": "%5D", ";": "%3B"}


def set_output(name: str, value: str) -> str:
    """Give the command that sets a variable which later steps, jobs and stages can read.

    Whatever stands in the value stays in it: it can neither end the command nor begin another.
    """
    return f"##vso[task.setvariable variable={_escaped(name, _IN_PROPERTIES)};isOutput=true]{_escaped(value, _IN_DATA)}"


def _escaped(text: str, mapping: dict[str, str]) -> str:
    for character, written in mapping.items():
        text = text.replace(character, written)
    return text
