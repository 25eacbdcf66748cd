"""Why something is not believed or not done: the codes of docs/surface.md."""


class Refusal(Exception):
    """Nothing was done on account of what was refused."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class TryAgain(Exception):
    """Not taken now: another worker may, or this one later."""
