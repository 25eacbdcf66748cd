"""The bus (4): pulls steps and orders, acknowledges them, publishes reports, and reads and posts claims. Nothing is believed for where it came from."""
from __future__ import annotations

import asyncio
import json
import re
import secrets
from typing import Any, Awaitable, Callable


from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, TimeoutError as NatsTimeout

from . import base64s, claims, jcs, reports
from .book import BookFault
from .ids import lane_of
from .outbox import NotSent, TurnedDown
from .refusal import Refusal, TryAgain
from .tell import log
from .worker import Worker

API = "CSJS.API"
BEAT_SECONDS = 2.0
PULL_SECONDS = 3.0
# An import takes a message without a body for the end of the answer: the rest of a batch would be lost until it comes again.
BATCH = 1
#: A lock is the largest of what is said.
SAID_BYTES_MAX = 8_192
KNOWS_BYTES_MAX = 65_536
AGAIN_NS = 2_000_000_000
HOLD_SECONDS = 30.0
WORKING_SECONDS = 3.0
_WRONG_LAST_SEQUENCE = 10_071


class Bus:
    def __init__(self, executor_id: str) -> None:
        self._lane = lane_of(executor_id)
        self._run = secrets.token_hex(8)
        self._client = Client()
        self._taken: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- claims ------------------------------------------------------------------------------------------------------------------------

    async def read(self, lease_id: str) -> tuple[claims.Claim | None, int]:
        answer = await self._request(f"{API}.DIRECT.GET.CS_CLAIMS.cs.claim.{self._lane}.{lease_id}", b"")
        headers = answer.headers or {}
        if headers.get("Status") == "404":
            return None, 0
        try:
            claim: claims.Claim = jcs.parse(answer.data, 1_024)
            if set(claim) != {"v", "worker", "state", "untilMs"} or claim["v"] != 1 or not isinstance(claim["untilMs"], int):
                raise claims.Unreachable("what is on the board is no claim")
            return claim, int(headers["Nats-Sequence"])
        except (jcs.JsonFault, KeyError, TypeError) as cause:
            raise claims.Unreachable(f"what is on the board is no claim: {cause}") from cause

    async def post(self, lease_id: str, claim: claims.Claim, after: int) -> bool:
        answer = await self._request(f"cs.claim.{self._lane}.{lease_id}", jcs.canonical_bytes(claim), {"Nats-Expected-Last-Subject-Sequence": str(after)})
        said = json.loads(answer.data)
        if "error" in said and said["error"].get("err_code") != _WRONG_LAST_SEQUENCE:
            raise claims.Unreachable(str(said["error"]))
        return "error" not in said

    async def _request(self, subject: str, data: bytes, headers: dict[str, str] | None = None) -> Msg:
        # A client that was never connected would make its inbox under another prefix.
        if not self._client.is_connected:
            raise claims.Unreachable("the bus is not connected")
        try:
            return await self._client.request(subject, data, timeout=0.9, headers=headers)
        except (Error, NatsTimeout, asyncio.TimeoutError, OSError) as cause:
            raise claims.Unreachable(f"the bus does not answer: {cause!r}") from cause

    # --- reports -----------------------------------------------------------------------------------------------------------------------

    async def send(self, message: dict[str, Any]) -> None:
        """Returns when a sidecar has it on record."""
        if not self._client.is_connected:
            raise NotSent("the bus is not connected")
        report = jcs.parse(base64s.decode(message["report"]["payload"]) or b"")
        token = reports.token_of(message)
        taken: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        # The answer may be here before the stream has said that it holds the report.
        self._taken[token] = taken
        try:
            subject, data = reports.published(message, self._lane, report["log"])
            answer = json.loads((await self._client.request(subject, data, timeout=5)).data)
            if "error" in answer:
                raise NotSent(str(answer["error"]))
            said = await asyncio.wait_for(taken, 15)
        except (Error, NatsTimeout, asyncio.TimeoutError, OSError) as cause:
            raise NotSent(repr(cause)) from cause
        finally:
            del self._taken[token]
        if said["t"] == "refused":
            log("warn", "a sidecar would not have a report", reason=said.get("error"))
            raise TurnedDown(str(said.get("error")))

    async def _say(self, audience: str, said: dict[str, Any]) -> None:
        """Lossy on purpose: what matters is published again."""
        if not self._client.is_connected:
            return
        try:
            await self._client.publish(f"cs.say.{self._lane}.{audience}", jcs.canonical_bytes(said))
        except (Error, OSError):
            pass

    # --- running -----------------------------------------------------------------------------------------------------------------------

    async def connect(self, servers: list[str], seed: str, ca_file: str | None) -> None:
        """Tries for ever."""
        options: dict[str, Any] = {}
        if ca_file is not None:
            import ssl

            options["tls"] = ssl.create_default_context(cafile=ca_file)

        async def said(error: Exception) -> None:
            log("warn", "the bus says no", reason=repr(error))

        while True:
            try:
                await self._client.connect(
                    servers=servers, nkeys_seed_str=seed, inbox_prefix=f"_INBOX_{self._lane}".encode(), max_reconnect_attempts=-1, reconnect_time_wait=1, ping_interval=5, max_outstanding_pings=2,
                    error_cb=said, **options,
                )
                return
            except (Error, OSError, asyncio.TimeoutError) as cause:
                log("warn", "the bus cannot be reached; trying on", reason=repr(cause))
                await asyncio.sleep(0.5)

    async def run(self, worker: Worker) -> None:
        """Takes steps and orders until cancelled."""

        async def heard(message: Msg) -> None:
            await self._hear(message, worker)

        async def tell_lock(lock: dict[str, Any]) -> None:
            await self._say("all", {"t": "lock", "lock": lock})

        worker.heard = tell_lock
        await self._client.subscribe(f"cs.ack.{self._lane}.*", cb=heard)
        await asyncio.gather(self._beat(), self._pull("revoke", lambda message: self._order(message, worker)), self._pull("act", lambda message: self._step(message, worker), worker.tell_ends))

    async def close(self) -> None:
        await self._say("all", {"t": "bye", "run": self._run})
        await self._client.close()

    async def _beat(self) -> None:
        while True:
            await self._say("all", {"t": "beat", "run": self._run})
            await asyncio.sleep(BEAT_SECONDS)

    async def _hear(self, message: Msg, worker: Worker) -> None:
        try:
            said = jcs.parse(message.data, SAID_BYTES_MAX)
        except jcs.JsonFault:
            return
        if not isinstance(said, dict):
            return
        if said.get("t") == "hello":
            about = message.subject.split(".")[3]
            await self._say(about, {"t": "beat", "run": self._run})
            for lock in worker.locks():
                await self._say(about, {"t": "lock", "lock": lock})
            worker.flush()
            return
        if said.get("t") == "knows":
            await self._knows(message.subject.split(".")[3], worker)
            return
        if said.get("t") == "lock":
            await self._lock(message.subject.split(".")[3], said, worker)
            return
        waiting = self._taken.get(str(said.get("token")))
        if said.get("t") in ("taken", "refused") and waiting is not None and not waiting.done():
            waiting.set_result(said)

    async def _knows(self, about: str, worker: Worker) -> None:
        """What can be proven to this worker; where it does not fit, nobody is told, and people are asked in the place of a standing approval."""
        said = {"t": "knows", "run": self._run, "proofs": ["standing"], "floors": worker.floors()}
        if len(jcs.canonical_bytes(said)) <= KNOWS_BYTES_MAX:
            await self._say(about, said)
        else:
            log("warn", "requirements.json is too large to be told over the bus")

    async def _lock(self, about: str, said: dict[str, Any], worker: Worker) -> None:
        """Lossy as all that is said: who has not heard that it is held says it again."""
        token = said.get("token")
        if set(said) != {"t", "token", "lock"} or not isinstance(token, str) or re.fullmatch("[0-9a-f]{32}", token) is None:
            return
        try:
            worker.lock(said["lock"])
        except Refusal as cause:
            log("warn", "a lock that nobody trusted has signed", reason=str(cause)[:500])
            await self._say(about, {"t": "refused", "token": token, "error": str(cause)[:400]})
        except BookFault as cause:
            log("error", "a lock is held in memory only", reason=str(cause))
        else:
            await self._say(about, {"t": "locked", "token": token, "run": self._run})

    async def _pull(self, kind: str, take: Callable[[Msg], Awaitable[None]], prepare: Callable[[], Awaitable[None]] | None = None) -> None:
        """Pulls from the consumer for ever, whatever it says."""
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox)
        subject = f"{API}.CONSUMER.MSG.NEXT.CS_STEPS.{self._lane}-{kind}"
        ask = json.dumps({"batch": BATCH, "expires": int(PULL_SECONDS * 1e9)}).encode()
        while True:
            try:
                if prepare is not None:
                    await prepare()
                await self._client.publish(subject, ask, reply=inbox)
                ends = asyncio.get_running_loop().time() + PULL_SECONDS + 1
                while True:
                    message = await subscription.next_msg(timeout=max(0.01, ends - asyncio.get_running_loop().time()))
                    status = (message.headers or {}).get("Status")
                    if status is None:
                        self._background(take(message))
                        break
                    elif status != "100":
                        # 408: it has expired. Anything else is no reason to stop, but one to wait.
                        await asyncio.sleep(0 if status == "408" else 0.25)
                        break
            except (NatsTimeout, asyncio.TimeoutError):
                continue
            except (Error, OSError, claims.Unreachable) as cause:
                log("warn", "nothing can be taken off the bus; trying on", consumer=kind, reason=repr(cause))
                await asyncio.sleep(0.5)

    def _background(self, what: Any) -> None:
        task = asyncio.ensure_future(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _step(self, message: Msg, worker: Worker) -> None:
        _, _, _, _, about, token = message.subject.split(".")

        async def take() -> None:
            try:
                await self._say(about, {**(await worker.step(message.data)), "token": token})
            except Refusal as cause:
                await self._say(about, {"t": "refused", "token": token, "error": str(cause)[:400]})
                raise

        await self._answered(message, take)

    async def _order(self, message: Msg, worker: Worker) -> None:
        async def take() -> None:
            try:
                carry_out = await worker.revoke(message.data)
            except Refusal as cause:
                if cause.code != "unknown-connector":
                    raise
                # Believed all the same: another worker of this executor may have the connector.
                raise TryAgain(str(cause)) from cause
            done = asyncio.ensure_future(carry_out())
            ends = asyncio.get_running_loop().time() + HOLD_SECONDS
            # The bus keeps an order that is being carried out for a while: another worker has it at once, should this one die.
            while not done.done() and asyncio.get_running_loop().time() < ends:
                await asyncio.wait([done], timeout=WORKING_SECONDS)
                if not done.done():
                    await message.in_progress()

        await self._answered(message, take)

    async def _answered(self, message: Msg, take: Callable[[], Awaitable[None]]) -> None:
        """Acknowledges what is taken, terminates what nobody will ever take, and lets anything else come again."""
        kind = message.subject.rsplit(".", 1)[0]
        try:
            try:
                await take()
                await self._client.request(message.reply, b"+ACK", timeout=5)
            except Refusal as cause:
                log("warn", "set aside what nobody trusted has signed for this executor", subject=kind, reason=str(cause)[:500])
                await self._client.publish(message.reply, b"+TERM refused")
            except TryAgain as cause:
                log("warn", "not taken now; it comes again", subject=kind, reason=str(cause))
                await self._client.publish(message.reply, b'-NAK {"delay": %d}' % AGAIN_NS)
        except (Error, OSError, NatsTimeout, asyncio.TimeoutError, claims.Unreachable) as cause:
            log("warn", "a message could not be acknowledged; it comes again", subject=kind, reason=repr(cause))


