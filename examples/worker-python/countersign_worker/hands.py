"""What giving, taking back and looking have in common: the targets, the lease book, the board of claims, and what is over."""
from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from . import claims, reports
from .accounts import Accounts, Unreachable
from .book import Book
from .outbox import Outbox
from .tell import now_ms
from .trust import Trust


@dataclass
class Hands:
    executor_id: str
    reporter: reports.Reporter
    trust: Trust
    targets: dict[str, Accounts]
    book: Book
    board: claims.Board
    outbox: Outbox
    #: One effect at a time: what takes back never overtakes what gives.
    effects: asyncio.Lock = field(default_factory=asyncio.Lock)
    #: Leases that are being taken back: nothing is given under them any more.
    ending: set[str] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def ask(self, method: str, what: dict[str, Any]) -> Any:
        target = self.targets.get(what["connector"])
        if target is None:
            raise Unreachable(f"no connector {what['connector']} here any more")
        return await asyncio.to_thread(getattr(target, method), what)

    def is_over(self, lease_id: str) -> bool:
        end_ms = self.book.state.lease_end_ms(lease_id)
        return lease_id in self.ending or lease_id in self.book.state.ended or (end_ms is not None and end_ms <= now_ms())

    def background(self, what: Any) -> None:
        task = asyncio.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


#: What a report of an act has where nothing was looked at.
NO_STATES: dict[str, Any] = {"before": None, "after": None, "byUse": "notTried", "seal": None}


def about(ticket: dict[str, Any]) -> dict[str, Any]:
    return {field: ticket[field] for field in ("log", "changeId", "discoveryId", "stepId", "issue") if field in ticket}
