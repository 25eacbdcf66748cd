"""Reports on their way (4.8): each is sent until a sidecar has it on record, those of one change in their order."""
from __future__ import annotations

import asyncio
from typing import Any, Awaitable, Callable

from . import dsse


class NotSent(Exception):
    """Nobody has said to have it."""


class TurnedDown(Exception):
    """A sidecar was there and said no."""


class Outbox:
    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]], sent: Callable[[str], None]) -> None:
        self._send = send
        self._sent = sent
        self._queues: dict[str, list[dict[str, Any]]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()

    def add(self, change_id: str, message: dict[str, Any]) -> None:
        queue = self._queues.setdefault(change_id, [])
        digest = dsse.payload_digest(message["report"])
        if any(dsse.payload_digest(one["report"]) == digest for one in queue):
            return
        queue.append(message)
        if change_id not in self._tasks:
            self._tasks[change_id] = asyncio.create_task(self._run(change_id, queue))

    def flush(self) -> None:
        """Somebody listens again: all of it is sent now."""
        self._wake.set()
        self._wake = asyncio.Event()

    async def _run(self, change_id: str, queue: list[dict[str, Any]]) -> None:
        wait = 0.2
        while queue:
            if await self._pass(queue):
                wait = 0.2
                continue
            try:
                await asyncio.wait_for(self._wake.wait(), wait)
            except asyncio.TimeoutError:
                wait = min(wait * 2, 10.0)
        del self._tasks[change_id], self._queues[change_id]

    async def _pass(self, queue: list[dict[str, Any]]) -> bool:
        """Whether all were taken. One that is turned down holds up none after it; a dead line does."""
        all_taken = True
        for message in list(queue):
            try:
                await self._send(message)
            except NotSent:
                return False
            except TurnedDown:
                all_taken = False
                continue
            queue.remove(message)
            self._sent(dsse.payload_digest(message["report"]))
        return all_taken
