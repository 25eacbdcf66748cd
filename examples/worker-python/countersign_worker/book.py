"""The lease book (5): what must still be known after the process was killed. Append-only; a line is a group of entries that stand or fall together."""
from __future__ import annotations

import fcntl
import json
import os
import secrets
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import base64s, dsse, ids, jcs, locks
from .admission import Head
from .locks import Locks
from .orders import Held, effect_key, hold

Entry = dict[str, Any]


class BookFault(Exception):
    """It cannot be written, or is not what was written: nothing is given any more, and what is known is taken back."""


@dataclass
class Attempt:
    before: str
    #: `open`: it may or may not have had an effect; `applied`; `cleared`: it had none and can have none any more.
    status: str = "open"


@dataclass
class Step:
    ticket: dict[str, Any] | None = None
    plan: dict[str, Any] | None = None
    attempts: list[Attempt] = field(default_factory=list)
    #: Issue, outcome, and the report.
    resolved: tuple[int, str, dict[str, Any]] | None = None


@dataclass
class State:
    """The fold of the book."""

    worker: str = ""
    heads: dict[str, Head] = field(default_factory=dict)
    orders: dict[str, Held] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    #: By lease: keys of the effects that were undone, and the report.
    ended: dict[str, tuple[set[str], dict[str, Any]]] = field(default_factory=dict)
    #: Digests of the orders that were carried out.
    carried_out: set[str] = field(default_factory=set)
    locks: Locks = field(default_factory=Locks)
    told: set[str] = field(default_factory=set)
    #: Reports that nobody has said to have, by digest, oldest first.
    unsent: dict[str, dict[str, Any]] = field(default_factory=dict)

    def fold(self, entry: Entry) -> None:
        kind = entry["t"]
        if kind == "opened":
            self.worker = entry["worker"]
        elif kind == "head":
            self.heads[entry["log"]] = Head(entry["size"], entry["root"])
        elif kind == "order":
            held = hold(entry["order"], dsse.read(entry["order"], "revoke-order"))
            self.orders.setdefault(held.digest, held)
        elif kind == "claim":
            step = self.steps.setdefault(entry["ticket"]["stepId"], Step())
            step.ticket, step.plan, step.resolved = entry["ticket"], entry["plan"], None
        elif kind == "attempt":
            self.steps[entry["stepId"]].attempts.append(Attempt(entry["before"]))
        elif kind in ("applied", "cleared"):
            self.steps[entry["stepId"]].attempts[entry["attempt"] - 1].status = kind
        elif kind == "resolved":
            self.steps.setdefault(entry["stepId"], Step()).resolved = (entry["issue"], entry["outcome"], entry["report"])
            self.unsent[dsse.payload_digest(entry["report"]["report"])] = entry["report"]
        elif kind == "ended":
            known = self.ended.get(entry["leaseId"], (set[str](), {}))[0]
            self.ended[entry["leaseId"]] = (known | set(entry["effects"]), entry["report"])
            self.carried_out.add(jcs.parse(base64s.decode(entry["report"]["report"]["payload"]) or b"")["order"])
            self.unsent[dsse.payload_digest(entry["report"]["report"])] = entry["report"]
        elif kind == "lock":
            self.locks.fold(locks.hold(entry["lock"]))
        elif kind == "told":
            self.told.add(entry["leaseId"])
        elif kind == "sent":
            self.unsent.pop(entry["report"], None)
        else:
            raise BookFault(f"an entry that is not understood: {kind}")

    def steps_of(self, lease_id: str) -> list[Step]:
        return [step for step in self.steps.values() if step.ticket is not None and step.plan is not None and ids.lease_id_of(ids.lease_change_of(step.plan)) == lease_id]

    def is_moot(self, held: Held) -> bool:
        """Whether there is nothing left to do for the order. What was found there after it was taken back is taken back once more, for each order that says so."""
        if held.order["cause"] == "reconcile":
            return held.digest in self.carried_out
        ended = self.ended.get(held.lease_id)
        return ended is not None and effect_key(held.order) in ended[0]

    def lease_end_ms(self, lease_id: str) -> int | None:
        """The earliest order decides."""
        return min((held.due_ms for held in self.orders.values() if held.lease_id == lease_id), default=None)


class Book:
    """Opened by one process at a time."""

    def __init__(self, folder: Path, executor: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.state = State()
        self.fault: BookFault | None = None
        self._lock = os.open(folder / "lease-book.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._file = os.open(folder / "lease-book", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        data = (folder / "lease-book").read_bytes()
        good = self._read(data)
        if self.fault is None and good < len(data):
            os.ftruncate(self._file, good)
        if data:
            os.fsync(self._file)
        if self.state.worker == "" and self.fault is None:
            self.append({"t": "opened", "v": 1, "executor": executor, "worker": secrets.token_hex(8)})
            # The name of a new file is durable once its folder is.
            parent = os.open(folder, os.O_RDONLY)
            os.fsync(parent)
            os.close(parent)

    def _read(self, data: bytes) -> int:
        """How many bytes are good. What stands after a damaged line is folded as well: it may say what is to be taken back."""
        good = at = 0
        while at < len(data):
            end = data.find(b"\n", at)
            group = None if end < 0 else _parse(data[at:end])
            if group is None:
                following = [n for n in _line_starts(data, at + 1) if _parse(data[n : data.find(b"\n", n)]) is not None]
                if not following:
                    break
                self.fault = self.fault or BookFault("a line of the lease book is not what was written")
                at = following[0]
                continue
            for entry in group:
                self.state.fold(entry)
            at = end + 1
            good = at if self.fault is None else good
        return good

    def append(self, *entries: Entry) -> None:
        """Durable when it returns, all or none. Folded in any case: what is known is acted on. Raises BookFault."""
        for entry in entries:
            self.state.fold(entry)
        if self.fault is not None:
            raise self.fault
        text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        line = b"%08x %b\n" % (zlib.crc32(text), text)
        try:
            if os.write(self._file, line) != len(line):
                raise OSError("a short write")
            os.fsync(self._file)
        except OSError as cause:
            self.fault = BookFault(f"the lease book cannot be written: {cause}")
            raise self.fault from cause

    def close(self) -> None:
        os.close(self._file)
        os.close(self._lock)


def _parse(line: bytes) -> list[Entry] | None:
    text = line[9:]
    if line[8:9] != b" " or line[:8] != b"%08x" % zlib.crc32(text):
        return None
    entries: list[Entry] = json.loads(text)
    return entries


def _line_starts(data: bytes, at: int) -> list[int]:
    starts = []
    while (at := data.find(b"\n", at)) >= 0:
        at += 1
        if data.find(b"\n", at) >= 0:
            starts.append(at)
    return starts
