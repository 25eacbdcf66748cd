"""Takes steps up once, acts once, reports, and takes back on time (6, 8, 9). It knows no bus."""
from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, Awaitable, Callable

from . import base64s, claims, ids, jcs, reports
from .accounts import BUSY_SECONDS, Accounts, Rejected, Unreachable
from .admission import Setting, admit, in_window
from .book import Book, BookFault, Step
from .locks import Believed, open_lock
from .outbox import Outbox
from .orders import Held, admit_order, effect_key
from .refusal import Refusal
from .trust import Trust

#: No attempt arrives later than this after it was begun: two questions to the target, and its lock.
ATTEMPT_MS = int(3 * BUSY_SECONDS * 1000)
REVOKE_RETRY_SECONDS = (0.2, 30.0)


class TryAgain(Exception):
    """Not taken now: another worker may, or this one later."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def log(level: str, message: str, **fields: Any) -> None:
    print(json.dumps({"level": level, "time": ids.format_time(now_ms()), "msg": message, **fields}), file=sys.stderr, flush=True)


class Worker:
    def __init__(
        self, executor_id: str, reporter: reports.Reporter, trust: Trust, targets: dict[str, Accounts], book: Book, board: claims.Board, send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        self._executor_id = executor_id
        self._reporter = reporter
        self._trust = trust
        self._targets = targets
        self._book = book
        self._board = board
        self._outbox = Outbox(send, self._sent)
        self._reads: dict[tuple[str, int], dict[str, Any] | None] = {}
        #: Leases that are being taken back: nothing is given under them any more.
        self._ending: set[str] = set()
        self._untold = set(book.state.ended) - book.state.told
        #: Orders that are not carried out by themselves.
        self._kept: set[str] = set()
        self._revoking: dict[str, asyncio.Task[None]] = {}
        self._acting: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        #: One effect at a time: what takes back never overtakes what gives.
        self._effects = asyncio.Lock()
        #: Shown every lock that is set or lifted and was not known: for whoever else is to hold it.
        self.heard: Callable[[dict[str, Any]], Awaitable[None]] | None = None

    def start(self) -> None:
        """Goes on where the book stopped. What is due is taken back from here on."""
        for message in list(self._book.state.unsent.values()):
            self._outbox.add(_change_of(message), message)
        self._tick()
        if self._book.fault is None:
            for step_id, step in self._book.state.steps.items():
                if step.ticket is not None and step.resolved is None:
                    self._act(step_id)

    def flush(self) -> None:
        self._outbox.flush()

    # --- steps -------------------------------------------------------------------------------------------------------------------------

    async def step(self, message: bytes) -> dict[str, Any]:
        """What to say to it. Raises Refusal where nobody trusted has signed it for this executor, TryAgain where it is not taken now."""
        if self._book.fault is not None:
            raise TryAgain(str(self._book.fault))
        try:
            envelope = jcs.parse(message)
        except jcs.JsonFault as cause:
            raise Refusal("malformed", str(cause)) from cause
        state = self._book.state
        setting = Setting(self._trust, self._executor_id, set(self._targets), now_ms(), state.heads.get, lambda _ticket: None)
        found = admit(envelope, setting)
        ticket = found.ticket
        head = [] if found.head is None or ticket is None else [{"t": "head", "log": ticket["log"], "size": found.head.size, "root": found.head.root}]
        if ticket is None:
            raise Refusal(found.code or "malformed", found.message)
        if self._is_known(ticket):
            return {"t": "accepted"}
        if found.code is not None:
            return self._say_no(ticket, found.code, found.message, head)
        if ticket["kind"] == "discover":
            return self._say_look(ticket, {"outcome": "failed", "code": "target-rejected", "detail": "this worker cannot tell what is there"}, head)
        if ticket["kind"] == "read":
            self._reads[(ticket["stepId"], ticket["issue"])] = None
            self._book.append(*head)
            self._background(self._read(ticket))
            return {"t": "accepted"}
        plan = found.plan or {}
        lock = state.locks.why_not(plan, ticket["step"])
        # A plan of several steps is begun by its first, and this worker carries out none of those.
        refused = ("locked", lock) if lock is not None else None if ticket["stepId"].endswith("_1") else ("wrong-step", "the step before it is not done here")
        if refused is not None:
            claim, _ = await self._board.read(ids.lease_id_of(ids.lease_change_of(plan)))
            if claim is not None and claim["worker"] != state.worker:
                raise TryAgain("another worker has begun this change")
            return self._say_no(ticket, *refused, head)
        order = [] if found.order is None else [{"t": "order", "order": found.order.envelope}]
        self._write(*head, *order, {"t": "claim", "ticket": ticket, "plan": found.plan})
        self._tick()
        self._report(ticket, {"kind": "claimed", **_about(ticket)})
        self._act(ticket["stepId"])
        return {"t": "accepted"}

    def _write(self, *entries: dict[str, Any]) -> None:
        try:
            self._book.append(*entries)
        except BookFault as cause:
            raise TryAgain(str(cause)) from cause

    def _is_known(self, ticket: dict[str, Any]) -> bool:
        key = (ticket["stepId"], ticket["issue"])
        if ticket["kind"] != "act":
            answer = self._reads.get(key)
            if answer is not None:
                self._outbox.add(_queue_of(ticket), answer)
            return key in self._reads
        step = self._book.state.steps.get(ticket["stepId"])
        if step is None:
            return False
        if step.resolved is None:
            return step.ticket is not None and step.ticket["issue"] >= ticket["issue"]
        issue, outcome, report = step.resolved
        known = outcome not in ("refused", "drifted") or issue >= ticket["issue"]
        if known:
            self._outbox.add(ticket["changeId"], report)
        return known

    def _say_no(self, ticket: dict[str, Any], code: str, message: str, head: list[dict[str, Any]]) -> dict[str, Any]:
        """A no is final for its issue, and kept before it is said; not where an earlier issue is under way."""
        known = self._book.state.heads.get(ticket["log"])
        log("warn", "refused", stepId=ticket["stepId"], code=code, reason=reports.plain(message))
        if code == "inconsistent-checkpoint" and known is not None:
            return {"t": "inconsistent", "fromSize": known.size, "root": known.root}
        said = {"outcome": "refused", "code": code, "detail": reports.plain(message)}
        if ticket["kind"] != "act":
            return self._say_look(ticket, said, head)
        step = self._book.state.steps.get(ticket["stepId"])
        if step is not None and step.ticket is not None and step.resolved is None:
            return {"t": "accepted"}
        report = self._reporter.make(now_ms(), {"kind": "acted", **_about(ticket), "attempt": 0, **said, **_NO_STATES})
        self._write(*head, {"t": "resolved", "stepId": ticket["stepId"], "issue": ticket["issue"], "outcome": "refused", "report": report})
        self._outbox.add(ticket["changeId"], report)
        return {"t": "accepted"}

    def _say_look(self, ticket: dict[str, Any], said: dict[str, Any], head: list[dict[str, Any]]) -> dict[str, Any]:
        """Why nothing was read, for a read or a page of a discovery. Nothing was changed, so nothing but the head is kept."""
        self._write(*head)
        what = {"kind": "read", "state": None} if ticket["kind"] == "read" else {"kind": "discovered", "page": None}
        report = self._reporter.make(now_ms(), {**what, **_about(ticket), **said})
        self._reads[(ticket["stepId"], ticket["issue"])] = report
        self._outbox.add(_queue_of(ticket), report)
        return {"t": "accepted"}

    def _report(self, ticket: dict[str, Any], said: dict[str, Any], states: list[reports.State | None] | None = None) -> None:
        self._outbox.add(ticket["changeId"], self._reporter.make(now_ms(), said, states))

    async def _read(self, ticket: dict[str, Any]) -> None:
        wait = 0.1
        while True:
            said: dict[str, Any] = {"outcome": "done", "code": None, "detail": None}
            state = None
            try:
                state = reports.salted(await self._ask("read", ticket["query"]))
            except Rejected as cause:
                said = {"outcome": "failed", "code": "target-rejected", "detail": reports.plain(str(cause))}
            except Unreachable:
                if in_window(ticket, now_ms(), self._trust.clock_skew_ms):
                    await asyncio.sleep(wait)
                    wait = min(wait * 2, 5.0)
                    continue
                said = {"outcome": "refused", "code": "outside-window", "detail": None}
            report = self._reporter.make(now_ms(), {"kind": "read", **_about(ticket), **said, "state": None if state is None else state.digest}, [state])
            self._reads[(ticket["stepId"], ticket["issue"])] = report
            self._outbox.add(ticket["changeId"], report)
            return

    async def _ask(self, method: str, what: dict[str, Any]) -> Any:
        target = self._targets.get(what["connector"])
        if target is None:
            raise Unreachable(f"no connector {what['connector']} here any more")
        return await asyncio.to_thread(getattr(target, method), what)

    # --- acting ------------------------------------------------------------------------------------------------------------------------

    def _act(self, step_id: str) -> None:
        if step_id not in self._acting:
            self._acting[step_id] = asyncio.create_task(self._run_step(step_id))
            self._acting[step_id].add_done_callback(lambda _task: self._acting.pop(step_id, None))

    async def _run_step(self, step_id: str) -> None:
        wait = 0.1
        step = self._book.state.steps[step_id]
        while step.resolved is None and self._book.fault is None:
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
            self._ending.add(lease_id)
        if turn.whose == "cleared first":
            await self._clear(step_id, step, lease_id, until_ms)
            return True
        if self._is_over(lease_id):
            return await self._after_lease(step, lease_id)
        if applied:
            after = reports.salted(await self._ask("read", ticket["step"]))
            if not self._is_over(lease_id):
                self._resolve(step, "done", None, None, reports.named(json.loads(step.attempts[-1].before)), after)
            return True
        if step.attempts and step.attempts[-1].status == "open":
            # Its process is gone (the book has a lock), and with it its transaction: what is not there will not come any more.
            found = await self._ask("probe", ticket["step"])
            self._book.append({"t": "applied" if found else "cleared", "stepId": step_id, "attempt": len(step.attempts)})
            return True
        await self._attempt(step_id, step, lease_id, until_ms)
        return True

    async def _take(self, lease_id: str, state: str, until_ms: int) -> claims.Turn:
        turn: claims.Turn = await claims.change(self._board, lease_id, lambda claim: claims.take(claim, self._book.state.worker, state, until_ms, now_ms()))
        return turn

    async def _clear(self, step_id: str, step: Step, lease_id: str, until_ms: int) -> None:
        """Another worker began and left: what it may have done is undone first."""
        async with self._effects:
            await self._ask("revoke", _ticket(step)["step"])
        self._book.append(*({"t": "cleared", "stepId": step_id, "attempt": n + 1} for n, attempt in enumerate(step.attempts) if attempt.status != "cleared"))
        await claims.change(self._board, lease_id, lambda claim: (claims.cleared(claim, self._book.state.worker, until_ms), None))

    async def _after_lease(self, step: Step, lease_id: str) -> bool:
        touched = bool(step.attempts) and step.attempts[-1].status != "cleared"
        if touched and lease_id not in self._book.state.ended:
            await asyncio.sleep(0.1)
            return True
        self._resolve(step, "failed" if touched else "refused", "lease-ended", "what the change gives was to end before this was done")
        return True

    async def _attempt(self, step_id: str, step: Step, lease_id: str, until_ms: int) -> None:
        ticket = _ticket(step)
        if not in_window(ticket, now_ms(), self._trust.clock_skew_ms):
            return self._resolve(step, "refused", "outside-window", f"the ticket was good until {ticket['notAfter']}")
        lock = self._locked(step)
        if lock is not None:
            return self._resolve(step, "refused", "locked", lock)
        try:
            state = await self._ask("read", ticket["step"])
        except Rejected as cause:
            return self._resolve(step, "failed", "target-rejected", str(cause))
        before = reports.salted(state)
        planned = (step.plan or {})["before"]
        if not state["touched"] or any(name not in planned or jcs.canonical_text(planned[name]) != jcs.canonical_text(value) for name, value in state["touched"].items()):
            return self._resolve(step, "drifted", "drifted", "the target is not as it was when the plan was made", before)
        self._book.append({"t": "attempt", "stepId": step_id, "before": before.text})
        number = len(step.attempts)
        async with self._effects:
            # Writing took time. All that allowed the effect must still hold now.
            good = in_window(ticket, now_ms(), self._trust.clock_skew_ms) and not self._is_over(lease_id) and self._locked(step) is None and now_ms() < until_ms - int(BUSY_SECONDS * 1000)
            if not good:
                self._book.append({"t": "cleared", "stepId": step_id, "attempt": number})
                return
            try:
                await self._ask("apply", ticket["step"])
            except Rejected as cause:
                self._book.append({"t": "cleared", "stepId": step_id, "attempt": number})
                return self._resolve(step, "failed", "target-rejected", str(cause))
            except Unreachable:
                # Not committed: SQLite would have said so. It is looked for all the same, by token.
                return
        log("info", "applied", stepId=step_id)
        self._book.append({"t": "applied", "stepId": step_id, "attempt": number})

    def _locked(self, step: Step) -> str | None:
        return self._book.state.locks.why_not(step.plan or {}, _ticket(step)["step"])

    def _resolve(self, step: Step, outcome: str, code: str | None, detail: str | None, before: reports.State | None = None, after: reports.State | None = None) -> None:
        ticket = _ticket(step)
        said = {
            "kind": "acted", **_about(ticket), "attempt": len(step.attempts), "outcome": outcome, "code": code, "detail": None if detail is None else reports.plain(detail), **_NO_STATES,
            "before": None if before is None else before.digest, "after": None if after is None else after.digest,
        }
        report = self._reporter.make(now_ms(), said, [before, after])
        try:
            self._book.append({"t": "resolved", "stepId": ticket["stepId"], "issue": ticket["issue"], "outcome": outcome, "report": report})
        except BookFault:
            # What is done may be told though it cannot be kept; that nothing was done is a promise, and must be kept first.
            if outcome != "done":
                raise
        self._outbox.add(ticket["changeId"], report)
        log("info", "step resolved", stepId=ticket["stepId"], outcome=outcome, code=code)

    # --- locks -------------------------------------------------------------------------------------------------------------------------

    def lock(self, envelope: Any) -> None:
        """Durably held, or lifted, when it returns: from the call on nothing is given that it covers. Raises Refusal; BookFault: held in memory only."""
        lock = open_lock(envelope, self._trust)
        if self._book.state.locks.knows(lock):
            if self._book.fault is not None:
                raise self._book.fault
            return
        log("warn", "locked" if lock.statement["op"] == "set" else "a lock is lifted", lockId=lock.statement["lockId"], by=lock.statement["by"], authority=lock.authority)
        self._tell_others(lock)
        self._book.append({"t": "lock", "lock": lock.envelope})

    def locks(self) -> list[dict[str, Any]]:
        """Every statement that was believed: for whoever knows none of them."""
        return self._book.state.locks.statements()

    def _tell_others(self, lock: Believed) -> None:
        if self.heard is not None:
            self._background(self.heard(lock.envelope))

    # --- taking back -------------------------------------------------------------------------------------------------------------------

    async def revoke(self, message: bytes) -> Callable[[], Awaitable[None]]:
        """Held durably, or being carried out though it cannot be. Resolves with what to wait for while nothing holds the order but the bus and the book."""
        try:
            value = jcs.parse(message)
        except jcs.JsonFault as cause:
            raise Refusal("malformed", str(cause)) from cause
        held = admit_order(value, self._trust, self._executor_id, set(self._targets))
        ended = self._book.state.ended.get(held.lease_id) if self._book.state.is_moot(held) else None
        if held.digest not in self._book.state.orders:
            try:
                self._book.append({"t": "order", "order": held.envelope})
            except BookFault as cause:
                self._tick()
                if held.due_ms > now_ms():
                    raise TryAgain(str(cause)) from cause
        self._tick()
        if ended is not None:
            self._outbox.add(held.order["changeId"], ended[1])

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
        result: int | str = await claims.change(self._board, lease_id, lambda claim: claims.end(claim, self._book.state.worker, by_person))
        return result

    def _told(self, lease_id: str) -> None:
        self._untold.discard(lease_id)
        try:
            self._book.append({"t": "told", "leaseId": lease_id})
        except BookFault:
            pass

    def _is_over(self, lease_id: str) -> bool:
        end_ms = self._book.state.lease_end_ms(lease_id)
        return lease_id in self._ending or lease_id in self._book.state.ended or (end_ms is not None and end_ms <= now_ms())

    def _tick(self) -> None:
        """Carries out what is due, and looks again when the next is; at least once a minute, since clocks jump."""
        if self._timer is not None:
            self._timer.cancel()
        at_ms = now_ms()
        next_ms = at_ms + 60_000
        for held in sorted(self._book.state.orders.values(), key=lambda one: one.due_ms):
            if self._book.state.is_moot(held) or held.lease_id in self._revoking or held.digest in self._kept:
                continue
            if held.due_ms > at_ms:
                next_ms = min(next_ms, held.due_ms)
                break
            self._revoking[held.lease_id] = asyncio.create_task(self._carry_out(held))
        self._timer = asyncio.get_running_loop().call_later((next_ms - at_ms) / 1000, self._tick)

    async def _carry_out(self, held: Held) -> None:
        """Takes back, however long it takes, and leaves a tombstone and a report."""
        lease_id = held.lease_id
        self._ending.add(lease_id)
        try:
            quiet_ms = await self._quiet_at(held)
            if quiet_ms is None:
                self._ending.discard(lease_id)
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
            self._tick()

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
        report = self._reporter.make(now_ms(), said, [after], held.envelope)
        if is_gone:
            try:
                self._book.append({"t": "ended", "leaseId": held.lease_id, "effects": [effect_key(effect) for effect in effects], "report": report})
            except BookFault as cause:
                log("error", "taken back, and the lease book cannot say so", leaseId=held.lease_id, reason=str(cause))
            log("info", "taken back", leaseId=held.lease_id, outcome=outcome, lateMs=now_ms() - held.due_ms)
        if is_gone or is_said:
            self._outbox.add(order["changeId"], report)
        return is_gone

    def _effects_of(self, held: Held) -> list[dict[str, Any]]:
        """What the book says was given, and then what the order names, should they differ."""
        given = [_ticket(step)["step"] for step in self._book.state.steps_of(held.lease_id) if step.attempts and _ticket(step)["step"]["action"] == "grant"]
        return [*given, *([] if effect_key(held.order) in [effect_key(one) for one in given] else [held.order])]

    async def _revoke_all(self, effects: list[dict[str, Any]]) -> str:
        async with self._effects:
            outcomes = [await self._ask("revoke", effect) for effect in effects]
        return "mismatch" if "mismatch" in outcomes else "done" if "done" in outcomes else "already-absent"

    async def _state_after(self, effect: dict[str, Any]) -> reports.State | None:
        try:
            return reports.salted(await self._ask("read", effect))
        except (Rejected, Unreachable):
            return None

    def _sent(self, digest: str) -> None:
        if digest in self._book.state.unsent:
            try:
                self._book.append({"t": "sent", "report": digest})
            except BookFault:
                pass

    def _background(self, what: Any) -> None:
        task = asyncio.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_NO_STATES: dict[str, Any] = {"before": None, "after": None, "byUse": "notTried", "seal": None}


def _about(ticket: dict[str, Any]) -> dict[str, Any]:
    return {field: ticket[field] for field in ("log", "changeId", "discoveryId", "stepId", "issue") if field in ticket}


def _queue_of(ticket: dict[str, Any]) -> str:
    """Whose reports go out in their order."""
    queue: str = ticket["discoveryId"] if ticket["kind"] == "discover" else ticket["changeId"]
    return queue


def _ticket(step: Step) -> dict[str, Any]:
    if step.ticket is None:
        raise RuntimeError("a step that was never taken up")
    return step.ticket


def _change_of(message: dict[str, Any]) -> str:
    change_id: str = jcs.parse(base64s.decode(message["report"]["payload"]) or b"")["changeId"]
    return change_id
