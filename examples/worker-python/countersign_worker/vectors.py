"""Runs every vector of the protocol: `python -m countersign_worker.vectors FOLDER`. Exits 1 where an answer is another."""
from __future__ import annotations

import hashlib
import hmac
import json
import sys
from pathlib import Path
from typing import Any, Callable

from . import base64s, claims, dsse, ids, jcs, locks, notes, orders, reports, trust
from .admission import Admission, Head, Setting, admit
from .refusal import Refusal

Vector = dict[str, Any]


def bytes_of(message: dict[str, Any]) -> bytes:
    if "json" in message:
        return json.dumps(message["json"]).encode("utf-8")
    data = base64s.decode(message["base64"]) or b""
    return data.ljust(message.get("padTo", 0), b" ")


def _head(head: Head | None) -> dict[str, Any] | None:
    return None if head is None else {"size": head.size, "root": head.root}


def step(vector: Vector) -> Any:
    known = None if vector["head"] is None else Head(**vector["head"])
    held = locks.Locks()
    for statement in vector.get("locks", []):
        held.fold(locks.open_lock(statement, trust.parse(vector["trust"])))
    began = None if vector["begunAt"] is None else ids.parse_time(vector["begunAt"])
    setting = Setting(trust.parse(vector["trust"]), vector["executor"], set(vector["connectors"]), ids.parse_time(vector["now"]), lambda _log: known, lambda _ticket: began)
    try:
        envelope = jcs.parse(bytes_of(vector["message"]))
    except jcs.JsonFault as cause:
        found = Admission(code="malformed", message=str(cause))
    else:
        found = admit(envelope, setting)
    if found.code is None and found.plan is not None and found.ticket is not None and held.why_not(found.plan, found.ticket["step"]) is not None:
        found.code = "locked"
    if found.code is None and found.ticket is not None:
        return {"admitted": found.ticket["kind"], "head": _head(found.head)}
    answer = "none" if found.ticket is None else "inconsistent" if found.code == "inconsistent-checkpoint" else "report"
    return {"refused": found.code, "answer": answer, "head": _head(found.head)}


def order(vector: Vector) -> Any:
    try:
        held = orders.admit_order(jcs.parse(bytes_of(vector["message"])), trust.parse(vector["trust"]), vector["executor"], set(vector["connectors"]))
    except jcs.JsonFault:
        return {"refused": "malformed"}
    except Refusal as cause:
        return {"refused": cause.code}
    return {"accepted": held.digest, "leaseId": held.lease_id, "dueAt": held.order["notBefore"]}


def lock(vector: Vector) -> Any:
    believed, table = trust.parse(vector["trust"]), locks.Locks()

    def hear(message: dict[str, Any]) -> str:
        try:
            heard = locks.open_lock(jcs.parse(bytes_of(message)), believed)
        except (jcs.JsonFault, Refusal) as cause:
            return cause.code if isinstance(cause, Refusal) else "malformed"
        known = table.knows(heard)
        table.fold(heard)
        return "known" if known else heard.statement["op"]

    heard = [hear(message) for message in vector["statements"]]
    covers = table.on(vector["nhi"], vector["connector"])
    return {
        "heard": heard, "inForce": [{"authority": one.authority, "lockId": one.statement["lockId"]} for one in table.in_force()],
        "locked": None if covers is None else covers.statement["lockId"],
    }


def report(vector: Vector) -> Any:
    signer = notes.signer_of(vector["key"]["name"], base64s.decode(vector["key"]["seed"]) or b"")
    expected = vector["expect"]
    named = [reports.named(state) for state in vector["states"]]
    message = reports.message_of(vector["report"], signer, named, expected["message"]["order"], expected["message"]["ciphertext"])
    payload = jcs.canonical_bytes(vector["report"])
    lane, log = ids.lane_of(vector["report"]["executor"]), vector["report"]["log"]
    subject, data = reports.published(message, lane, log)
    sealed = message["ciphertext"]
    return {
        "payload": payload.decode("utf-8"), "signedBytes": base64s.encode(dsse.signed_bytes(dsse.REPORT, payload)), "digest": jcs.digest(payload),
        "stateDigests": [state.digest for state in named], "message": message, "published": {"subject": subject, "data": data.decode("utf-8")},
        "delivery": None if sealed is None else {"subject": f"cs.delivery.{lane}.{log}.{reports.token_of(message)}", "data": sealed},
    }


def claim(vector: Vector) -> Any:
    held, worker, ask, now_ms = vector["held"], vector["worker"], vector["ask"], ids.parse_time(vector["now"])
    if "take" in ask:
        post, turn = claims.take(held, worker, ask["take"], ask["untilMs"], now_ms)
        return {"post": post, "result": {"whose": turn.whose, **({"untilMs": turn.until_ms} if turn.whose == "elsewhere" else {})}}
    if "cleared" in ask:
        return {"post": claims.cleared(held, worker, ask["untilMs"]), "result": None}
    if "isElsewhere" in ask:
        return {"post": None, "result": held is not None and held["worker"] != worker}
    post, result = claims.end(held, worker, ask["byPerson"])
    return {"post": post, "result": result}


def trust_folder(vector: Vector) -> Any:
    try:
        trust.parse(vector["trust"])
    except trust.TrustFault as fault:
        return {"refused": fault.file}
    return {"loads": True}


def canonical(vector: Vector) -> Any:
    try:
        text = jcs.canonical_text(jcs.parse(base64s.decode(vector["base64"]) or b""))
    except jcs.JsonFault:
        return {"refused": vector["expect"].get("refused", "and should not be")}
    return {"canonical": text, "digest": jcs.digest(text.encode("utf-8"))}


def derived_ids(vector: Vector) -> Any:
    change_id, revision = vector["changeId"], vector["revision"]
    return {
        "log": ids.log_of(change_id), "leaseId": ids.lease_id_of(change_id), "clientToken": ids.client_token_of(change_id), "readStepId": ids.read_step_id(change_id, revision),
        "actStepIds": [ids.act_step_id(change_id, revision, n) for n in (1, 2, 3)], "revokeStepId": ids.revoke_step_id(change_id),
    }


def lane(vector: Vector) -> Any:
    name, log, token = ids.lane_of(vector["executorId"]), vector["log"], vector["token"]
    return {
        "lane": name, "inboxPrefix": f"_INBOX_{name}", "consumers": {"act": f"{name}-act", "revoke": f"{name}-revoke"},
        "subjects": {
            "act": f"cs.step.{name}.act.{log}.{token}", "revoke": f"cs.step.{name}.revoke.{log}.{token}", "arm": f"cs.arm.{name}.{log}.{token}", "result": f"cs.result.{name}.{log}.{token}",
            "delivery": f"cs.delivery.{name}.{log}.{token}", "claim": f"cs.claim.{name}.{vector['leaseId']}", "say": f"cs.say.{name}.{log}", "sayAll": f"cs.say.{name}.all", "ack": f"cs.ack.{name}.{log}",
        },
    }


def approval(vector: Vector) -> Any:
    text = jcs.canonical_bytes(vector["statement"])
    return {**vector["expect"], "canonical": text.decode("utf-8"), "digest": jcs.digest(text), "approvalId": f"apr_{jcs.digest(text)[7:39]}"}


def pae(vector: Vector) -> Any:
    return {"base64": base64s.encode(dsse.signed_bytes(vector["payloadType"], base64s.decode(vector["payload"]) or b""))}


def effect(vector: Vector) -> Any:
    return {"key": orders.effect_key(vector["effect"])}


def fingerprint(vector: Vector) -> Any:
    return {"fingerprint": hmac.new(base64s.decode(vector["key"]) or b"", vector["secret"].encode("utf-8"), hashlib.sha256).hexdigest()}


def token(vector: Vector) -> Any:
    """Of the sidecar: no worker needs it."""
    signer = notes.signer_of("x", base64s.decode(vector["key"]["seed"]) or b"")
    key = hashlib.sha256(signer.sign(b"countersign bus subjects, v1")).digest()
    parts = json.dumps(vector["parts"], separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    return {"token": hmac.new(key, parts, hashlib.sha256).hexdigest()[:32]}


SUITES: dict[str, Callable[[Vector], Any]] = {
    "steps": step, "orders": order, "locks": lock, "reports": report, "claims": claim, "trust": trust_folder, "jcs": canonical, "ids": derived_ids, "lanes": lane, "approvals": approval, "pae": pae,
    "effects": effect, "fingerprints": fingerprint, "tokens": token,
}


def main(folder: Path) -> int:
    files = sorted(folder.glob("*/*.json"))
    failed = 0
    for path in files:
        vector = json.loads(path.read_text("utf-8"))
        answer = SUITES[path.parent.name](vector)
        if jcs.canonical_text(answer) != jcs.canonical_text(vector["expect"]):
            failed += 1
            print(f"{path.parent.name}/{path.name}: {vector['title']}\n  is   {jcs.canonical_text(answer)[:600]}\n  must {jcs.canonical_text(vector['expect'])[:600]}")
    print(f"{len(files)} vectors, {failed} failed")
    return 1 if failed or not files else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
