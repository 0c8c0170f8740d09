"""The one exception for wrong use and wrong input: the command line prints it as a single line and exits with 2."""


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
        super().__init__("; ".join(" ".join(part.split()) for part in parts))
