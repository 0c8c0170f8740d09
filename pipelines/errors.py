"""The one exception for wrong use and wrong input: the command line prints it as a single line and exits with 2."""


class InputError(ValueError):
    """Wrong use or wrong input, said in one line.

    Args:
        what: What is wrong, naming the file, event or option.
        got: What was found, where that helps.
        expected: What should have been there.
        remedy: What the reader can do about it.
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
