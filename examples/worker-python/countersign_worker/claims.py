"""What a worker posts over a lease's claim, and what that means for it (10). Pure: the board is the bus's."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Protocol

Claim = dict[str, Any]


@dataclass(frozen=True)
class Turn:
    """`mine`, `cleared first`, `ended`, or `elsewhere` until `until_ms` (0: for good)."""

    whose: str
    until_ms: int = 0


def take(claim: Claim | None, worker: str, state: str, until_ms: int, now_ms: int) -> tuple[Claim | None, Turn]:
    mine = _claim(worker, state, until_ms if state == "giving" else 0)
    if claim is None:
        return mine, Turn("mine")
    if claim["state"] == "ended":
        return None, Turn("ended")
    is_mine = claim["worker"] == worker
    if not is_mine and (claim["untilMs"] == 0 or claim["untilMs"] > now_ms):
        return None, Turn("elsewhere", claim["untilMs"])
    if not is_mine or claim["state"] == "clearing":
        return _claim(worker, "clearing", until_ms), Turn("cleared first")
    is_said = claim["state"] == "replacing" or (claim["state"] == "given" and state == "given")
    return None if is_said else mine, Turn("mine")


def cleared(claim: Claim | None, worker: str, until_ms: int) -> Claim | None:
    is_mine = claim is not None and claim["worker"] == worker and claim["state"] == "clearing"
    return _claim(worker, "giving", until_ms) if is_mine else None


def end(claim: Claim | None, worker: str, by_person: bool) -> tuple[Claim | None, int | str]:
    """What to post, and when another's attempt can arrive no more, in epoch ms; `kept` where it is not to be taken back by itself."""
    if claim is not None and claim["state"] == "ended":
        return None, claim["untilMs"]
    anothers = claim is not None and claim["worker"] != worker
    if claim is not None and anothers and claim["state"] == "replacing" and not by_person:
        return None, "kept"
    until_ms = claim["untilMs"] if claim is not None and anothers else 0
    return _claim(worker, "ended", until_ms), until_ms


def _claim(worker: str, state: str, until_ms: int) -> Claim:
    return {"v": 1, "worker": worker, "state": state, "untilMs": until_ms}


class Board(Protocol):
    """Where the workers of an executor see each other's claims. Both raise Unreachable."""

    async def read(self, lease_id: str) -> tuple[Claim | None, int]: ...

    async def post(self, lease_id: str, claim: Claim, after: int) -> bool: ...


class Unreachable(Exception):
    """The bus does not answer."""


async def change(board: Board, lease_id: str, following: Callable[[Claim | None], tuple[Claim | None, Any]]) -> Any:
    """Reads, says what comes of it, posts that, and begins again where another was faster."""
    for _ in range(8):
        claim, sequence = await board.read(lease_id)
        post, result = following(claim)
        if post is None or await board.post(lease_id, post, sequence):
            return result
    raise Unreachable("the claims of this lease change too often")
