"""Ids that tell each other, lanes, and times (1.5, 1.6, 4.2)."""
from __future__ import annotations

from datetime import datetime, timezone
from typing import Any


def log_of(change_id: str) -> str:
    return change_id[4:20]


def lease_id_of(change_id: str) -> str:
    return f"lse_{change_id[4:]}"


def lease_change_of(plan: dict[str, Any]) -> str:
    """Whose lease a plan is about: that of its own change, or, for an extension, of the one that it extends."""
    change_id: str = plan["extends"]["change"] if "extends" in plan else plan["changeId"]
    return change_id


def client_token_of(change_id: str) -> str:
    return f"cs_{change_id[21:].lower()}"


def read_step_id(change_id: str, revision: int) -> str:
    return f"stp_{change_id[4:]}_r{revision}_read"


def act_step_id(change_id: str, revision: int, n: int) -> str:
    return f"stp_{change_id[4:]}_r{revision}_{n}"


def revoke_step_id(change_id: str) -> str:
    return f"stp_{change_id[4:]}_revoke"


def lane_of(executor_id: str) -> str:
    return executor_id.removeprefix("executor:").replace(".", "=2e")


def parse_time(text: str) -> int:
    """Epoch milliseconds."""
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000


def format_time(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"
