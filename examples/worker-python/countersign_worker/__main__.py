"""`python -m countersign_worker worker.json`: runs the worker until it is told to stop."""
from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from . import notes, reports, trust
from .accounts import Accounts
from .book import Book
from .bus import Bus
from .tell import log
from .worker import Worker


def _private(path: Path) -> str:
    if path.stat().st_mode & 0o077:
        raise SystemExit(f"{path}: others can read it: chmod 600 {path}")
    return path.read_text("utf-8").strip()


async def _main(file: Path) -> None:
    config: dict[str, Any] = json.loads(file.read_text("utf-8"))
    at = file.resolve().parent
    executor_id: str = config["id"]
    believed = trust.load(at / config["trust"])
    signer = notes.parse_signer(_private(at / config["key"]))
    listed = believed.executors.get(executor_id)
    # Reports that nobody will believe are found out now, not after the first effect.
    if listed is None or listed[0].vkey != signer.vkey or not set(config["connectors"]) <= set(listed[1]):
        raise SystemExit(f"executors.json does not list {executor_id} with this key and these connectors")
    targets = {name: Accounts(name, one["target"], str(at / one["file"])) for name, one in config["connectors"].items()}
    book = Book(at / config["state"], executor_id)
    bus = Bus(executor_id)
    worker = Worker(executor_id, reports.Reporter(executor_id, signer), believed, targets, book, bus, bus.send)
    # What is due is taken back from here on, bus or no bus.
    worker.start()
    stopped = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, stopped.set)

    async def serve() -> None:
        await bus.connect(config["nats"]["servers"], _private(at / config["nats"]["seed"]), config["nats"].get("caFile"))
        log("info", "the worker is up", executor=executor_id)
        await bus.run(worker)

    serving = asyncio.create_task(serve())
    await asyncio.wait([serving, asyncio.create_task(stopped.wait())], return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    serving.cancel()
    await bus.close()
    book.close()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
