"""Orders to take back (9): held durably, carried out when they are due with or without a bus, and never given up."""
from __future__ import annotations

import asyncio
from typing import Any, Awaitable, Callable

from . import claims, jcs, reports
from .accounts import Rejected, Unreachable
from .book import BookFault
from .hands import Hands
from .orders import Held, admit_order, effect_key
from .refusal import Refusal, TryAgain
from .tell import log, now_ms

REVOKE_RETRY_SECONDS = (0.2, 30.0)


class TakingBack:
    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._untold = set(hands.book.state.ended) - hands.book.state.told
        #: Orders that are not carried out by themselves.
        self._kept: set[str] = set()
        self._revoking: dict[str, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def hold(self, message: bytes) -> Callable[[], Awaitable[None]]:
        """Held durably, or being carried out though it cannot be. Resolves with what to wait for while nothing holds the order but the bus and the book."""
        try:
            value = jcs.parse(message)
        except jcs.JsonFault as cause:
            raise Refusal("malformed", str(cause)) from cause
        held = admit_order(value, self._hands.trust, self._hands.executor_id, set(self._hands.targets))
        ended = self._hands.book.state.ended.get(held.lease_id) if self._hands.book.state.is_moot(held) else None
        if held.digest not in self._hands.book.state.orders:
            try:
                self._hands.book.append({"t": "order", "order": held.envelope})
            except BookFault as cause:
                self.tick()
                if held.due_ms > now_ms():
                    raise TryAgain(str(cause)) from cause
        self.tick()
        if ended is not None:
            self._hands.outbox.add(held.order["changeId"], ended[1])

        async def carried_out() -> None:
            task = self._revoking.get(held.lease_id)
            if task is not None:
                await asyncio.wait([task])

        return carried_out

    async def tell_ends(self) -> None:
        """The executor's other workers can know of every end, before another step is pulled. Raises claims.Unreachable."""
        for lease_id in list(self._untold):
            await self._end_claim(lease_id, True)
            self._told(lease_id)

    async def _end_claim(self, lease_id: str, by_person: bool) -> int | str:
        result: int | str = await claims.change(self._hands.board, lease_id, lambda claim: claims.end(claim, self._hands.book.state.worker, by_person))
        return result

    def _told(self, lease_id: str) -> None:
        self._untold.discard(lease_id)
        try:
            self._hands.book.append({"t": "told", "leaseId": lease_id})
        except BookFault:
            pass

    def tick(self) -> None:
        """Carries out what is due, and looks again when the next is; at least once a minute, since clocks jump."""
        if self._timer is not None:
            self._timer.cancel()
        at_ms = now_ms()
        next_ms = at_ms + 60_000
        for held in sorted(self._hands.book.state.orders.values(), key=lambda one: one.due_ms):
            if self._hands.book.state.is_moot(held) or held.lease_id in self._revoking or held.digest in self._kept:
                continue
            if held.due_ms > at_ms:
                next_ms = min(next_ms, held.due_ms)
                break
            self._revoking[held.lease_id] = asyncio.create_task(self._carry_out(held))
        self._timer = asyncio.get_running_loop().call_later((next_ms - at_ms) / 1000, self.tick)

    async def _carry_out(self, held: Held) -> None:
        """Takes back, however long it takes, and leaves a tombstone and a report."""
        lease_id = held.lease_id
        self._hands.ending.add(lease_id)
        try:
            quiet_ms = await self._quiet_at(held)
            if quiet_ms is None:
                self._hands.ending.discard(lease_id)
                self._kept.add(held.digest)
                log("error", "another worker has replaced the old access: this order would leave nobody", leaseId=lease_id)
                return
            wait, attempt, next_said = REVOKE_RETRY_SECONDS[0], 1, 1
            while not await self._take_back(held, quiet_ms, attempt, attempt >= next_said):
                next_said = attempt * 2 if attempt >= next_said else next_said
                attempt += 1
                await asyncio.sleep(wait)
                wait = min(wait * 2, REVOKE_RETRY_SECONDS[1])
        except Exception as cause:  # A fault in one place keeps no lease from ending.
            log("error", "a revoke stopped where it should not; it is begun again", leaseId=lease_id, reason=repr(cause))
            await asyncio.sleep(REVOKE_RETRY_SECONDS[1])
        finally:
            del self._revoking[lease_id]
            self.tick()

    async def _quiet_at(self, held: Held) -> int | None:
        """When another worker's attempt can arrive no more; None where the order is kept. Waits 2 s for the bus, and goes on without it."""
        try:
            result = await asyncio.wait_for(self._end_claim(held.lease_id, held.order["cause"] == "early"), 2.0)
        except (asyncio.TimeoutError, claims.Unreachable):
            self._untold.add(held.lease_id)
            return 0
        if not isinstance(result, int):
            return None
        self._told(held.lease_id)
        return result

    async def _take_back(self, held: Held, quiet_ms: int, attempt: int, is_said: bool) -> bool:
        effects = self._effects_of(held)
        try:
            outcome = await self._revoke_all(effects)
            if outcome != "mismatch" and now_ms() < quiet_ms:
                await asyncio.sleep((quiet_ms - now_ms()) / 1000)
                second = await self._revoke_all(effects)
                outcome = outcome if second == "already-absent" else second
            code, detail = ("mismatch", "something under its token is not what was given") if outcome == "mismatch" else (None, None)
        except (Rejected, Unreachable) as cause:
            outcome, code, detail = "failed", "target-rejected" if isinstance(cause, Rejected) else "target-unreachable", reports.plain(str(cause))
        is_gone = outcome in ("done", "already-absent")
        after = await self._state_after(effects[0]) if is_gone else None
        order = held.order
        said = {
            "kind": "revoked", "log": order["log"], "changeId": order["changeId"], "leaseId": held.lease_id, "epoch": order["epoch"], "order": held.digest, "outcome": outcome, "code": code, "detail": detail,
            "after": None if after is None else after.digest, "byUse": "notTried", "attempt": attempt,
        }
        report = self._hands.reporter.make(now_ms(), said, [after], held.envelope)
        if is_gone:
            try:
                self._hands.book.append({"t": "ended", "leaseId": held.lease_id, "effects": [effect_key(effect) for effect in effects], "report": report})
            except BookFault as cause:
                log("error", "taken back, and the lease book cannot say so", leaseId=held.lease_id, reason=str(cause))
            log("info", "taken back", leaseId=held.lease_id, outcome=outcome, lateMs=now_ms() - held.due_ms)
        if is_gone or is_said:
            self._hands.outbox.add(order["changeId"], report)
        return is_gone

    def _effects_of(self, held: Held) -> list[dict[str, Any]]:
        """What the book says was given, and then what the order names, should they differ."""
        given = [step.ticket["step"] for step in self._hands.book.state.steps_of(held.lease_id) if step.attempts and step.ticket is not None and step.ticket["step"]["action"] == "grant"]
        return [*given, *([] if effect_key(held.order) in [effect_key(one) for one in given] else [held.order])]

    async def _revoke_all(self, effects: list[dict[str, Any]]) -> str:
        async with self._hands.effects:
            outcomes = [await self._hands.ask("revoke", effect) for effect in effects]
        return "mismatch" if "mismatch" in outcomes else "done" if "done" in outcomes else "already-absent"

    async def _state_after(self, effect: dict[str, Any]) -> reports.State | None:
        try:
            return reports.salted(await self._hands.ask("read", effect))
        except (Rejected, Unreachable):
            return None
