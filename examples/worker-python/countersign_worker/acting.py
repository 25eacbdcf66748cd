"""Steps that give (8): taken up once, done once, and reported."""
from __future__ import annotations

import asyncio
import json
from typing import Any

from . import claims, ids, jcs, reports
from .accounts import BUSY_SECONDS, Rejected, Unreachable
from .admission import in_window
from .book import BookFault, Step
from .hands import NO_STATES, Hands, about
from .tell import log, now_ms

#: No attempt arrives later than this after it was begun: two questions to the target, and its lock.
ATTEMPT_MS = int(3 * BUSY_SECONDS * 1000)


class Acting:
    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def begin(self, step_id: str) -> None:
        if step_id not in self._under_way:
            self._under_way[step_id] = asyncio.create_task(self._run_step(step_id))
            self._under_way[step_id].add_done_callback(lambda _task: self._under_way.pop(step_id, None))

    async def _run_step(self, step_id: str) -> None:
        wait = 0.1
        step = self._hands.book.state.steps[step_id]
        while step.resolved is None and self._hands.book.fault is None:
            try:
                if not await self._advance(step_id, step):
                    return
            except BookFault as cause:
                log("error", "nothing is given any more", reason=str(cause))
                return
            except Exception as cause:  # The bus, the target, or a fault of its own: none of them leaves a step where it is.
                log("warn", "trying again", stepId=step_id, reason=reports.plain(repr(cause)))
                await asyncio.sleep(wait)
                wait = min(wait * 2, 5.0)

    async def _advance(self, step_id: str, step: Step) -> bool:
        """Does the next thing that is due; false where another worker has the step."""
        ticket = _ticket(step)
        if ticket["step"]["action"] != "grant":
            self._resolve(step, "failed", "target-rejected", f"only grants are made here, no {ticket['step']['action']}")
            return True
        lease_id = ids.lease_id_of(ticket["changeId"])
        applied = bool(step.attempts) and step.attempts[-1].status == "applied"
        until_ms = now_ms() + ATTEMPT_MS
        turn = await self._take(lease_id, "given" if applied else "giving", until_ms)
        if turn.whose == "elsewhere":
            await asyncio.sleep(max(0, turn.until_ms - now_ms()) / 1000 + 0.001)
            return turn.until_ms > 0
        if turn.whose == "ended":
            self._hands.ending.add(lease_id)
        if turn.whose == "cleared first":
            await self._clear(step_id, step, lease_id, until_ms)
            return True
        if self._hands.is_over(lease_id):
            return await self._after_lease(step, lease_id)
        if applied:
            after = reports.salted(await self._hands.ask("read", ticket["step"]))
            if not self._hands.is_over(lease_id):
                self._resolve(step, "done", None, None, reports.named(json.loads(step.attempts[-1].before)), after)
            return True
        if step.attempts and step.attempts[-1].status == "open":
            # Its process is gone (the book has a lock), and with it its transaction: what is not there will not come any more.
            found = await self._hands.ask("probe", ticket["step"])
            self._hands.book.append({"t": "applied" if found else "cleared", "stepId": step_id, "attempt": len(step.attempts)})
            return True
        await self._attempt(step_id, step, lease_id, until_ms)
        return True

    async def _take(self, lease_id: str, state: str, until_ms: int) -> claims.Turn:
        turn: claims.Turn = await claims.change(self._hands.board, lease_id, lambda claim: claims.take(claim, self._hands.book.state.worker, state, until_ms, now_ms()))
        return turn

    async def _clear(self, step_id: str, step: Step, lease_id: str, until_ms: int) -> None:
        """Another worker began and left: what it may have done is undone first."""
        async with self._hands.effects:
            await self._hands.ask("revoke", _ticket(step)["step"])
        self._hands.book.append(*({"t": "cleared", "stepId": step_id, "attempt": n + 1} for n, attempt in enumerate(step.attempts) if attempt.status != "cleared"))
        await claims.change(self._hands.board, lease_id, lambda claim: (claims.cleared(claim, self._hands.book.state.worker, until_ms), None))

    async def _after_lease(self, step: Step, lease_id: str) -> bool:
        touched = bool(step.attempts) and step.attempts[-1].status != "cleared"
        if touched and lease_id not in self._hands.book.state.ended:
            await asyncio.sleep(0.1)
            return True
        self._resolve(step, "failed" if touched else "refused", "lease-ended", "what the change gives was to end before this was done")
        return True

    async def _attempt(self, step_id: str, step: Step, lease_id: str, until_ms: int) -> None:
        ticket = _ticket(step)
        if not in_window(ticket, now_ms(), self._hands.trust.clock_skew_ms):
            return self._resolve(step, "refused", "outside-window", f"the ticket was good until {ticket['notAfter']}")
        lock = self._locked(step)
        if lock is not None:
            return self._resolve(step, "refused", "locked", lock)
        try:
            state = await self._hands.ask("read", ticket["step"])
        except Rejected as cause:
            return self._resolve(step, "failed", "target-rejected", str(cause))
        before = reports.salted(state)
        planned = (step.plan or {})["before"]
        if not state["touched"] or any(name not in planned or jcs.canonical_text(planned[name]) != jcs.canonical_text(value) for name, value in state["touched"].items()):
            return self._resolve(step, "drifted", "drifted", "the target is not as it was when the plan was made", before)
        self._hands.book.append({"t": "attempt", "stepId": step_id, "before": before.text})
        number = len(step.attempts)
        async with self._hands.effects:
            # Writing took time. All that allowed the effect must still hold now.
            good = in_window(ticket, now_ms(), self._hands.trust.clock_skew_ms) and not self._hands.is_over(lease_id) and self._locked(step) is None and now_ms() < until_ms - int(BUSY_SECONDS * 1000)
            if not good:
                self._hands.book.append({"t": "cleared", "stepId": step_id, "attempt": number})
                return
            try:
                await self._hands.ask("apply", ticket["step"])
            except Rejected as cause:
                self._hands.book.append({"t": "cleared", "stepId": step_id, "attempt": number})
                return self._resolve(step, "failed", "target-rejected", str(cause))
            except Unreachable:
                # Not committed: SQLite would have said so. It is looked for all the same, by token.
                return
        log("info", "applied", stepId=step_id)
        self._hands.book.append({"t": "applied", "stepId": step_id, "attempt": number})

    def _locked(self, step: Step) -> str | None:
        return self._hands.book.state.locks.why_not(step.plan or {}, _ticket(step)["step"])

    def _resolve(self, step: Step, outcome: str, code: str | None, detail: str | None, before: reports.State | None = None, after: reports.State | None = None) -> None:
        ticket = _ticket(step)
        said = {
            "kind": "acted", **about(ticket), "attempt": len(step.attempts), "outcome": outcome, "code": code, "detail": None if detail is None else reports.plain(detail), **NO_STATES,
            "before": None if before is None else before.digest, "after": None if after is None else after.digest,
        }
        report = self._hands.reporter.make(now_ms(), said, [before, after])
        try:
            self._hands.book.append({"t": "resolved", "stepId": ticket["stepId"], "issue": ticket["issue"], "outcome": outcome, "report": report})
        except BookFault:
            # What is done may be told though it cannot be kept; that nothing was done is a promise, and must be kept first.
            if outcome != "done":
                raise
        self._hands.outbox.add(ticket["changeId"], report)
        log("info", "step resolved", stepId=ticket["stepId"], outcome=outcome, code=code)


def _ticket(step: Step) -> dict[str, Any]:
    if step.ticket is None:
        raise RuntimeError("a step that was never taken up")
    return step.ticket
