"""What time it is, and what the worker says of itself: JSON, a line each."""
from __future__ import annotations

import json
import sys
import time
from typing import Any

from . import ids


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def log(level: str, message: str, **fields: Any) -> None:
    print(json.dumps({"level": level, "time": ids.format_time(now_ms()), "msg": message, **fields}), file=sys.stderr, flush=True)
