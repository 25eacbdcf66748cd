"""What a worker is asked, by whatever brings it: steps, orders and locks (6). It knows no bus."""
from __future__ import annotations

from typing import Any, Awaitable, Callable

from . import base64s, claims, ids, jcs, reports
from .accounts import Accounts
from .acting import Acting
from .admission import Setting, admit
from .book import Book, BookFault
from .hands import NO_STATES, Hands, about
from .locks import Believed, open_lock
from .outbox import Outbox
from .reading import Reading
from .refusal import Refusal, TryAgain
from .taking_back import TakingBack
from .tell import log, now_ms
from .trust import Trust


class Worker:
    def __init__(
        self, executor_id: str, reporter: reports.Reporter, trust: Trust, targets: dict[str, Accounts], book: Book, board: claims.Board, send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        self._hands = Hands(executor_id, reporter, trust, targets, book, board, Outbox(send, self._sent))
        self._reading = Reading(self._hands)
        self._acting = Acting(self._hands)
        self._taking_back = TakingBack(self._hands)
        #: Shown every lock that is set or lifted and was not known: for whoever else is to hold it.
        self.heard: Callable[[dict[str, Any]], Awaitable[None]] | None = None

    def start(self) -> None:
        """Goes on where the book stopped. What is due is taken back from here on."""
        for message in list(self._hands.book.state.unsent.values()):
            self._hands.outbox.add(_change_of(message), message)
        self._taking_back.tick()
        if self._hands.book.fault is None:
            for step_id, step in self._hands.book.state.steps.items():
                if step.ticket is not None and step.resolved is None:
                    self._acting.begin(step_id)

    def flush(self) -> None:
        self._hands.outbox.flush()

    async def step(self, message: bytes) -> dict[str, Any]:
        """What to say to it. Raises Refusal where nobody trusted has signed it for this executor, TryAgain where it is not taken now."""
        if self._hands.book.fault is not None:
            raise TryAgain(str(self._hands.book.fault))
        try:
            envelope = jcs.parse(message)
        except jcs.JsonFault as cause:
            raise Refusal("malformed", str(cause)) from cause
        state = self._hands.book.state
        setting = Setting(self._hands.trust, self._hands.executor_id, set(self._hands.targets), now_ms(), state.heads.get, lambda _ticket: None)
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
            self._reading.begin(ticket)
            self._hands.book.append(*head)
            self._hands.background(self._reading.read(ticket))
            return {"t": "accepted"}
        plan = found.plan or {}
        lock = state.locks.why_not(plan, ticket["step"])
        # A plan of several steps is begun by its first, and this worker carries out none of those.
        refused = ("locked", lock) if lock is not None else None if ticket["stepId"].endswith("_1") else ("wrong-step", "the step before it is not done here")
        if refused is not None:
            claim, _ = await self._hands.board.read(ids.lease_id_of(ids.lease_change_of(plan)))
            if claim is not None and claim["worker"] != state.worker:
                raise TryAgain("another worker has begun this change")
            return self._say_no(ticket, *refused, head)
        order = [] if found.order is None else [{"t": "order", "order": found.order.envelope}]
        self._write(*head, *order, {"t": "claim", "ticket": ticket, "plan": found.plan})
        self._taking_back.tick()
        self._hands.outbox.add(ticket["changeId"], self._hands.reporter.make(now_ms(), {"kind": "claimed", **about(ticket)}))
        self._acting.begin(ticket["stepId"])
        return {"t": "accepted"}

    def _write(self, *entries: dict[str, Any]) -> None:
        try:
            self._hands.book.append(*entries)
        except BookFault as cause:
            raise TryAgain(str(cause)) from cause

    def _is_known(self, ticket: dict[str, Any]) -> bool:
        if ticket["kind"] != "act":
            return self._reading.is_known(ticket)
        step = self._hands.book.state.steps.get(ticket["stepId"])
        if step is None:
            return False
        if step.resolved is None:
            return step.ticket is not None and step.ticket["issue"] >= ticket["issue"]
        issue, outcome, report = step.resolved
        known = outcome not in ("refused", "drifted") or issue >= ticket["issue"]
        if known:
            self._hands.outbox.add(ticket["changeId"], report)
        return known

    def _say_no(self, ticket: dict[str, Any], code: str, message: str, head: list[dict[str, Any]]) -> dict[str, Any]:
        """A no is final for its issue, and kept before it is said; not where an earlier issue is under way."""
        known = self._hands.book.state.heads.get(ticket["log"])
        log("warn", "refused", stepId=ticket["stepId"], code=code, reason=reports.plain(message))
        if code == "inconsistent-checkpoint" and known is not None:
            return {"t": "inconsistent", "fromSize": known.size, "root": known.root}
        said = {"outcome": "refused", "code": code, "detail": reports.plain(message)}
        if ticket["kind"] != "act":
            return self._say_look(ticket, said, head)
        step = self._hands.book.state.steps.get(ticket["stepId"])
        if step is not None and step.ticket is not None and step.resolved is None:
            return {"t": "accepted"}
        report = self._hands.reporter.make(now_ms(), {"kind": "acted", **about(ticket), "attempt": 0, **said, **NO_STATES})
        self._write(*head, {"t": "resolved", "stepId": ticket["stepId"], "issue": ticket["issue"], "outcome": "refused", "report": report})
        self._hands.outbox.add(ticket["changeId"], report)
        return {"t": "accepted"}

    def _say_look(self, ticket: dict[str, Any], said: dict[str, Any], head: list[dict[str, Any]]) -> dict[str, Any]:
        """Why nothing was read; nothing but the head is kept."""
        self._write(*head)
        self._reading.say(ticket, said)
        return {"t": "accepted"}

    # --- taking back, and locks -----------------------------------------------------------------------------------------------------------

    async def revoke(self, message: bytes) -> Callable[[], Awaitable[None]]:
        """Held durably, or being carried out though it cannot be. Resolves with what to wait for while nothing holds the order but the bus and the book."""
        return await self._taking_back.hold(message)

    async def tell_ends(self) -> None:
        """The executor's other workers can know of every end, before another step is pulled. Raises claims.Unreachable."""
        await self._taking_back.tell_ends()

    def floors(self) -> list[dict[str, Any]]:
        """Of its trust folder, for a sidecar that asks what can be proven here."""
        return self._hands.trust.floors

    def lock(self, envelope: Any) -> None:
        """Durably held, or lifted, when it returns: from the call on nothing is given that it covers. Raises Refusal; BookFault: held in memory only."""
        lock = open_lock(envelope, self._hands.trust)
        if self._hands.book.state.locks.knows(lock):
            if self._hands.book.fault is not None:
                raise self._hands.book.fault
            return
        log("warn", "locked" if lock.statement["op"] == "set" else "a lock is lifted", lockId=lock.statement["lockId"], by=lock.statement["by"], authority=lock.authority)
        self._tell_others(lock)
        self._hands.book.append({"t": "lock", "lock": lock.envelope})

    def locks(self) -> list[dict[str, Any]]:
        """Every statement that was believed: for whoever knows none of them."""
        return self._hands.book.state.locks.statements()

    def _tell_others(self, lock: Believed) -> None:
        if self.heard is not None:
            self._hands.background(self.heard(lock.envelope))

    def _sent(self, digest: str) -> None:
        if digest in self._hands.book.state.unsent:
            try:
                self._hands.book.append({"t": "sent", "report": digest})
            except BookFault:
                pass


def _change_of(message: dict[str, Any]) -> str:
    change_id: str = jcs.parse(base64s.decode(message["report"]["payload"]) or b"")["changeId"]
    return change_id
