"""Locks (11): signed statements that nothing is to be given to an identity, or at a connector, and those that lift them. Pure."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from . import dsse, schema
from .plan import GIVES_ACCESS
from .refusal import Refusal
from .trust import Trust

REVOKER = "revoker"


@dataclass(frozen=True)
class Believed:
    """A statement that was believed."""

    envelope: dsse.Envelope
    statement: dict[str, Any]

    @property
    def authority(self) -> str:
        """Whose it is: that of a log, or the revokers'."""
        return self.statement["log"] or REVOKER

    @property
    def key(self) -> tuple[str, str]:
        return self.authority, self.statement["lockId"]


def open_lock(envelope: Any, trust: Trust) -> Believed:
    if schema.fault("dsse", envelope) is not None:
        raise Refusal("malformed", "not an envelope")
    claimed = dsse.read(envelope, "lock-statement")
    revoker = trust.revokers.get(envelope["signatures"][0]["keyid"]) if claimed["log"] is None else None
    keys = trust.sidecars.get(claimed["log"], []) if claimed["log"] is not None else [] if revoker is None else [revoker[1]]
    if not keys:
        raise Refusal("unknown-sidecar", "signed by nobody who may")
    statement = dsse.open_(envelope, dsse.LOCK, "lock-statement", keys)
    if revoker is not None and statement["by"] != revoker[0]:
        raise Refusal("bad-signature", f"in the name of {statement['by']}, signed by {revoker[0]}")
    if statement["op"] == "set" and statement["nhi"] is None and statement["connector"] is None:
        raise Refusal("malformed", "a lock of nothing")
    return Believed(envelope, statement)


def hold(envelope: dsse.Envelope) -> Believed:
    """One that was believed before."""
    return Believed(envelope, dsse.read(envelope, "lock-statement"))


@dataclass
class Locks:
    """Every lock that was ever heard of. In whatever order statements come, it ends the same."""

    set: dict[tuple[str, str], Believed] = field(default_factory=dict)
    lifted: dict[tuple[str, str], Believed] = field(default_factory=dict)

    def _of(self, lock: Believed) -> dict[tuple[str, str], Believed]:
        return self.set if lock.statement["op"] == "set" else self.lifted

    def knows(self, lock: Believed) -> bool:
        return lock.key in self._of(lock)

    def fold(self, lock: Believed) -> None:
        # The first of a name stands: a second of other scope would be a way to make the first smaller.
        self._of(lock).setdefault(lock.key, lock)

    def in_force(self) -> list[Believed]:
        return [lock for key, lock in self.set.items() if key not in self.lifted and (REVOKER, key[1]) not in self.lifted]

    def on(self, nhi: str, connector: str) -> Believed | None:
        """One that covers the identity at the connector."""
        return next((one for one in self.in_force() if one.statement["nhi"] in (None, nhi) and one.statement["connector"] in (None, connector)), None)

    def statements(self) -> list[dsse.Envelope]:
        """What whoever knows nothing must be told."""
        return [one.envelope for one in (*self.lifted.values(), *self.set.values())]

    def why_not(self, plan: dict[str, Any], step: dict[str, Any]) -> str | None:
        """Why the step is not done while a lock stands; None where none does that covers it. What takes away, no lock holds up."""
        lock = self.on(plan["subject"], step["connector"]) if step["action"] in GIVES_ACCESS else None
        return None if lock is None else f"locked by {lock.statement['by']} ({lock.statement['lockId']})"
