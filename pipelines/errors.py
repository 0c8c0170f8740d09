"""The one exception for wrong use and wrong input: the command line prints it as a single line and exits with 2."""

import re

_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Text in which characters that a terminal obeys, such as escape, are shown by their numbers instead: \\x1b."""
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class InputError(ValueError):
    """Wrong use or wrong input, described in one line.

    Args:
        what: The fault, naming the file, event or option.
        got: The value found, where that helps.
        expected: The value that was expected.
        remedy: The action that mends it.
    """

    def __init__(self, what: str, *, got: object = None, expected: object = None, remedy: str | None = None):
        parts = [what]
        if got is not None:
            parts.append(f"got {got}")
        if expected is not None:
            parts.append(f"expected {expected}")
        if remedy is not None:
            parts.append(remedy)
        super().__init__(printable("; ".join(" ".join(part.split()) for part in parts)))
