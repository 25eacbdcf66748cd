"""Reads of an account, and pages of a discovery (6, 8): what was asked for is answered once, and again where it is asked for again."""
from __future__ import annotations

import asyncio
from typing import Any

from . import reports
from .accounts import Rejected, Unreachable
from .admission import in_window
from .hands import Hands, about
from .tell import now_ms


class Reading:
    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        #: By step and issue; None while it is being read.
        self._answers: dict[tuple[str, int], dict[str, Any] | None] = {}

    def is_known(self, ticket: dict[str, Any]) -> bool:
        key = (ticket["stepId"], ticket["issue"])
        answer = self._answers.get(key)
        if answer is not None:
            self._hands.outbox.add(_queue_of(ticket), answer)
        return key in self._answers

    def begin(self, ticket: dict[str, Any]) -> None:
        self._answers[(ticket["stepId"], ticket["issue"])] = None

    def say(self, ticket: dict[str, Any], said: dict[str, Any]) -> None:
        """Why nothing was read. Nothing was changed, so none of it is kept."""
        what = {"kind": "read", "state": None} if ticket["kind"] == "read" else {"kind": "discovered", "page": None}
        self._answer(ticket, self._hands.reporter.make(now_ms(), {**what, **about(ticket), **said}))

    def _answer(self, ticket: dict[str, Any], report: dict[str, Any]) -> None:
        self._answers[(ticket["stepId"], ticket["issue"])] = report
        self._hands.outbox.add(_queue_of(ticket), report)

    async def read(self, ticket: dict[str, Any]) -> None:
        wait = 0.1
        while True:
            said: dict[str, Any] = {"outcome": "done", "code": None, "detail": None}
            state = None
            try:
                state = reports.salted(await self._hands.ask("read", ticket["query"]))
            except Rejected as cause:
                said = {"outcome": "failed", "code": "target-rejected", "detail": reports.plain(str(cause))}
            except Unreachable:
                if in_window(ticket, now_ms(), self._hands.trust.clock_skew_ms):
                    await asyncio.sleep(wait)
                    wait = min(wait * 2, 5.0)
                    continue
                said = {"outcome": "refused", "code": "outside-window", "detail": None}
            report = self._hands.reporter.make(now_ms(), {"kind": "read", **about(ticket), **said, "state": None if state is None else state.digest}, [state])
            return self._answer(ticket, report)


def _queue_of(ticket: dict[str, Any]) -> str:
    """Whose reports go out in their order."""
    queue: str = ticket["discoveryId"] if ticket["kind"] == "discover" else ticket["changeId"]
    return queue
