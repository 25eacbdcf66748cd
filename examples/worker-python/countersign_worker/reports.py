"""What a worker says, signed, and the states that it names (4.8, 8.1)."""
from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any

from . import base64s, dsse, ids, jcs
from .notes import Signer


@dataclass(frozen=True)
class State:
    """As it is reported: canonical text, and the digest that names it."""

    text: str
    digest: str


def named(state: dict[str, Any]) -> State:
    text = jcs.canonical_text(state)
    return State(text, jcs.digest(text.encode("utf-8")))


def salted(state: dict[str, Any]) -> State:
    return named({"v": 1, "salt": base64s.encode(secrets.token_bytes(16)).rstrip("=").replace("+", "-").replace("/", "_"), **state})


def message_of(report: dict[str, Any], signer: Signer, states: list[State] | None = None, order: dsse.Envelope | None = None, ciphertext: str | None = None) -> dict[str, Any]:
    objects = list(dict.fromkeys(state.text for state in states or []))
    return {"v": 1, "report": dsse.sign(dsse.REPORT, report, signer), "objects": objects, "ciphertext": ciphertext, "order": order}


def token_of(message: dict[str, Any]) -> str:
    return dsse.payload_digest(message["report"])[7:39]


def published(message: dict[str, Any], lane: str, log: str) -> tuple[str, bytes]:
    """Subject and data."""
    data = {"v": 1, "message": {**message, "ciphertext": None}, "delivery": message["ciphertext"] is not None}
    return f"cs.result.{lane}.{log}.{token_of(message)}", jcs.canonical_bytes(data)


def plain(text: str) -> str | None:
    """Text of somebody else's, as a report may carry it."""
    clean = re.sub("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+", " ", text).strip()[:500]
    return clean or None


class Reporter:
    """Makes reports in the executor's name, at the clock's time."""

    def __init__(self, executor: str, signer: Signer) -> None:
        self._executor = executor
        self._signer = signer

    def make(self, now_ms: int, said: dict[str, Any], states: list[State | None] | None = None, order: dsse.Envelope | None = None) -> dict[str, Any]:
        report = {"v": 1, "executor": self._executor, "at": ids.format_time(now_ms), **said}
        return message_of(report, self._signer, [state for state in states or [] if state is not None], order)
