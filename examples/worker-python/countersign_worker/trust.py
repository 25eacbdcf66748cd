"""The trust folder (3): what is believed, and anything doubtful in it refuses the start."""
from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import allowed_signers, jcs, passkey, schema
from .notes import COSIGNATURE, ED25519, Checkpoint, NoteFault, Verifier, log_id_of, parse_checkpoint, parse_note, parse_verifier, verified_by

FILES = ("trust.policy", "sidecars.json", "executors.json", "requirements.json")
#: These may be left out.
MAYBE = ("allowed_signers", "passkeys.json")
PROOF_CLASSES = ("session", "ssh", "passkey")


class TrustFault(Exception):
    def __init__(self, file: str, message: str) -> None:
        super().__init__(f"{file}: {message}")
        self.file = file


@dataclass(frozen=True)
class Policy:
    logs: list[Verifier]
    witnesses: dict[str, Verifier]
    groups: list[tuple[str, int, list[str]]]
    quorum: str

    def open(self, note: str, *, witnessed: bool) -> Checkpoint:
        """The checkpoint, once the log whose name is its origin has signed it and, with `witnessed`, the quorum of witnesses is met. Raises NoteFault."""
        parsed = parse_note(note)
        checkpoint = parse_checkpoint(parsed.text)
        logs = [log for log in self.logs if log.name == checkpoint.origin]
        signers = verified_by(parsed, [*logs, *self.witnesses.values()])
        if not any(signer in logs for signer in signers):
            raise NoteFault(f"not signed by a listed log {checkpoint.origin}")
        met = {name for name, witness in self.witnesses.items() if witness in signers}
        for name, threshold, members in self.groups:
            if sum(member in met for member in members) >= threshold:
                met.add(name)
        if witnessed and self.quorum != "none" and self.quorum not in met:
            raise NoteFault("no quorum of witnesses")
        return checkpoint


@dataclass(frozen=True)
class Demand:
    """What a floor asks."""

    quorum: int
    proof_class: str
    approvers: list[str] | None
    max_lease_seconds: int | None
    #: Whether standing approvals count.
    standing: bool


_SILENT = Demand(1, "session", None, None, False)


@dataclass(frozen=True)
class Trust:
    policy: Policy
    #: Ticket keys, by log id.
    sidecars: dict[str, list[Verifier]]
    executors: dict[str, tuple[Verifier, list[str]]]
    floors: list[dict[str, Any]]
    #: By key name.
    revokers: dict[str, tuple[str, Verifier]]
    clock_skew_ms: int
    break_glass: list[dict[str, Any]]
    #: By fingerprint; by the digest of the credential's id.
    signers: dict[str, allowed_signers.Signer]
    passkeys: dict[str, passkey.Passkey]

    def glass(self, step: dict[str, Any]) -> tuple[set[str], int] | None:
        """Who may break the glass for a step, and for how many seconds at most; None where nobody may."""
        speaking = [[one for one in self.break_glass if _speaks_of(one, step, privilege)] for privilege in step["privileges"] or [""]]
        if not all(speaking):
            return None
        all_of_them = [one for some in speaking for one in some]
        return set.intersection(*(set(one["people"]) for one in all_of_them)), min(one["maxLeaseSeconds"] for one in all_of_them)

    def floor(self, step: dict[str, Any]) -> Demand | None:
        """What the floor asks for a step; None for one that gives nothing."""
        action = step["action"]
        if action in ("revoke", "retire", "disable", "cutover"):
            return None
        demands = [demand for privilege in step["privileges"] or [""] for demand in self._demands(step, privilege)]
        strictest = demands[0]
        for demand in demands[1:]:
            strictest = _stricter(strictest, demand)
        return strictest if action in ("grant", "provision", "extend") else replace(strictest, max_lease_seconds=None)

    def _demands(self, step: dict[str, Any], privilege: str) -> list[Demand]:
        matching = [
            Demand(floor["quorum"], floor["proofClass"], floor["approvers"], floor["maxLeaseSeconds"], floor.get("standing", False)) for floor in self.floors
            if _speaks_of(floor, step, privilege)
        ]
        return matching or [_SILENT]


def _speaks_of(floor: dict[str, Any], step: dict[str, Any], privilege: str) -> bool:
    return floor["connector"] in ("*", step["connector"]) and floor["target"] in ("*", step["target"]) and floor["privilege"] in ("*", privilege)


def _stricter(a: Demand, b: Demand) -> Demand:
    approvers = b.approvers if a.approvers is None else a.approvers if b.approvers is None else [one for one in a.approvers if one in b.approvers]
    limits = [limit for limit in (a.max_lease_seconds, b.max_lease_seconds) if limit is not None]
    return Demand(max(a.quorum, b.quorum), max(a.proof_class, b.proof_class, key=PROOF_CLASSES.index), approvers, min(limits, default=None), a.standing and b.standing)


def load(folder: Path) -> Trust:
    texts: dict[str, str] = {}
    for path in [folder, *(folder / name for name in FILES), *(folder / name for name in MAYBE if _is_there(folder / name))]:
        if path.stat().st_mode & 0o002:
            raise TrustFault(str(path), "everybody can write to it")
        if path != folder:
            texts[path.name] = path.read_text("utf-8")
    return parse(texts)


def _is_there(path: Path) -> bool:
    """Any other answer than that there is none is raised: nobody could say whom it lists."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def parse(texts: dict[str, str]) -> Trust:
    policy = _policy(texts["trust.policy"])
    log_keys = {log.public_key for log in policy.logs}
    sidecars: dict[str, list[Verifier]] = {}
    for entry in _json("sidecars.json", texts, "trust-sidecars"):
        key = _key("sidecars.json", entry["key"])
        keys = sidecars.setdefault(log_id_of(entry["origin"]), [])
        if all(log.name != entry["origin"] for log in policy.logs) or key.public_key in log_keys or key.key_name in (one.key_name for one in keys):
            raise TrustFault("sidecars.json", "a log that is not listed, a key of the log, or one that is listed already")
        keys.append(key)
    executors: dict[str, tuple[Verifier, list[str]]] = {}
    for entry in _json("executors.json", texts, "trust-executors"):
        if entry["id"] in executors:
            raise TrustFault("executors.json", f"{entry['id']} is listed already")
        executors[entry["id"]] = (_key("executors.json", entry["key"]), entry["connectors"])
    requirements = _json("requirements.json", texts, "trust-requirements")
    revokers: dict[str, tuple[str, Verifier]] = {}
    for entry in requirements["revokers"]:
        key = _key("requirements.json", entry["key"])
        if any(key.key_name == known.key_name or key.public_key == known.public_key for _, known in revokers.values()):
            raise TrustFault("requirements.json", "a revoker’s key that is listed already")
        revokers[key.key_name] = (entry["principal"], key)
    break_glass = requirements.get("breakGlass", [])
    if any(len(set(listed)) != len(listed) for one in break_glass for listed in (one["people"], one.get("reviewers", []))):
        raise TrustFault("requirements.json", "somebody is listed twice")
    return Trust(policy, sidecars, executors, requirements["floors"], revokers, requirements["clockSkewMs"], break_glass, _signers(texts), _passkeys(texts))


def _signers(texts: dict[str, str]) -> dict[str, allowed_signers.Signer]:
    try:
        return allowed_signers.parse(texts.get("allowed_signers", ""))
    except allowed_signers.SignersFault as cause:
        raise TrustFault("allowed_signers", str(cause)) from cause


def _passkeys(texts: dict[str, str]) -> dict[str, passkey.Passkey]:
    try:
        return passkey.parse(_json("passkeys.json", texts, "trust-passkeys")) if "passkeys.json" in texts else {}
    except passkey.PasskeyFault as cause:
        raise TrustFault("passkeys.json", str(cause)) from cause


def _json(file: str, texts: dict[str, str], schema_name: str) -> Any:
    try:
        value = jcs.parse(texts[file].encode("utf-8"))
    except jcs.JsonFault as cause:
        raise TrustFault(file, str(cause)) from cause
    fault = schema.fault(schema_name, value)
    if fault is not None:
        raise TrustFault(file, fault)
    return value


def _key(file: str, vkey: str, kind: int = ED25519) -> Verifier:
    try:
        key = parse_verifier(vkey)
    except NoteFault as cause:
        raise TrustFault(file, str(cause)) from cause
    if key.type != kind:
        raise TrustFault(file, "a key of another type")
    return key


def _policy(text: str) -> Policy:
    logs: list[Verifier] = []
    witnesses: dict[str, Verifier] = {}
    groups: list[tuple[str, int, list[str]]] = []
    names, grouped = {"none"}, set[str]()
    quorum: str | None = None

    def require(holds: bool, what: str) -> None:
        if not holds:
            raise TrustFault("trust.policy", what)

    for line in text.split("\n"):
        require(re.search("[\x00-\x08\x0a-\x1f\x7f]", line) is None, "a control character")
        words = [word for word in re.split("[ \t]+", line) if word != ""]
        if not words or words[0].startswith("#"):
            continue
        keyword, *rest = words
        if keyword == "log":
            require(len(rest) in (1, 2), "log <vkey> [url]")
            key = _key("trust.policy", rest[0])
            require(all(key.public_key != log.public_key for log in logs), "a log key twice")
            logs.append(key)
        elif keyword == "witness":
            require(len(rest) in (2, 3) and rest[0] not in names, "witness <name> <vkey> [url]")
            key = _key("trust.policy", rest[1], COSIGNATURE)
            require(all(key.public_key != witness.public_key for witness in witnesses.values()), "a witness key twice")
            witnesses[rest[0]] = key
            names.add(rest[0])
        elif keyword == "group":
            require(len(rest) >= 3 and rest[0] not in names, "group <name> <k|any|all> <member>…")
            members = rest[2:]
            require(len(set(members)) == len(members) and all(one in names and one != "none" and one not in grouped for one in members), "a member that is not there, or of another group")
            threshold = {"any": 1, "all": len(members)}.get(rest[1]) or (int(rest[1]) if re.fullmatch("[1-9][0-9]{0,3}", rest[1]) else 0)
            require(1 <= threshold <= len(members), "a threshold of none, or of too many")
            groups.append((rest[0], threshold, members))
            names.add(rest[0])
            grouped.update(members)
        elif keyword == "quorum":
            require(len(rest) == 1 and quorum is None and rest[0] in names, "quorum <name|none>, once")
            quorum = rest[0]
        else:
            require(False, f"the word {keyword}")
    if quorum is None:
        raise TrustFault("trust.policy", "no quorum")
    return Policy(logs, witnesses, groups, quorum)
