"""`allowed_signers` (3): whose SSH keys approve. A line is one key of one person; stricter than OpenSSH."""
from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

from . import base64s, schema, ssh

_BLANKS = " \t\r\v\f"
_OPTION = re.compile(r'([A-Za-z-]+)(?:="([^"]*)")?(?:,|\Z)')
_SIGNERS_MAX = 4_096
_NEVER_BEFORE, _NEVER_AFTER = -(2**62), 2**62


class SignersFault(ValueError):
    """A line that cannot be believed."""


@dataclass(frozen=True)
class Signer:
    person: str
    key: ssh.Key
    #: From when and until when (not included) what it signs counts.
    valid_from_ms: int
    valid_until_ms: int
    namespaces: list[str] | None

    def signs_under(self, namespace: str) -> bool:
        if self.namespaces is None:
            return True

        def matches(pattern: str) -> bool:
            return re.fullmatch("".join({"*": ".*", "?": "."}.get(c) or re.escape(c) for c in pattern), namespace) is not None

        return any(matches(one) for one in self.namespaces if not one.startswith("!")) and not any(matches(one[1:]) for one in self.namespaces if one.startswith("!"))


def parse(text: str) -> dict[str, Signer]:
    """By the fingerprint of the key."""
    signers: dict[str, Signer] = {}
    for n, whole in enumerate(text.split("\n"), 1):
        line = whole.strip(_BLANKS)
        if line == "" or line.startswith("#"):
            continue
        try:
            signer = _signer(line)
        except (SignersFault, ssh.SshFault) as cause:
            raise SignersFault(f"line {n}: {cause}") from cause
        if signer.key.fingerprint in signers or len(signers) == _SIGNERS_MAX:
            raise SignersFault(f"line {n}: a key that is listed already, or too many")
        signers[signer.key.fingerprint] = signer
    return signers


def _signer(line: str) -> Signer:
    person, *rest = re.findall(rf'(?:"[^"]*"|[^{_BLANKS}"])+', line) or [""]
    has_options = rest != [] and _OPTION.match(rest[0]) is not None and re.match("ssh-|sk-|ecdsa-", rest[0]) is None
    options = _options(rest.pop(0)) if has_options else {}
    if schema.fault_in("approval-statement", "approver", person) is not None or len(rest) < 2:
        raise SignersFault("the id of one person, a key type and a key, in this order, are due")
    blob = base64s.decode(rest[1])
    key = None if blob is None else ssh.parse_key(blob)
    if key is None or key.type != rest[0]:
        raise SignersFault("not base64, or a key of another type")
    from_ms, until_ms = _time(options.get("valid-after"), _NEVER_BEFORE), _time(options.get("valid-before"), _NEVER_AFTER)
    if from_ms >= until_ms:
        raise SignersFault("valid at no time")
    return Signer(person, key, from_ms, until_ms, options["namespaces"].split(",") if "namespaces" in options else None)


def _options(text: str) -> dict[str, str]:
    given: dict[str, str] = {}
    while text != "":
        match = _OPTION.match(text)
        name = "" if match is None else match[1].lower()
        if match is None or match[2] is None or name not in ("namespaces", "valid-after", "valid-before") or name in given:
            raise SignersFault(f"cannot make anything of {text[:40]}")
        given[name] = match[2]
        text = text[match.end() :]
    return given


def _time(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    if re.fullmatch("[0-9]{8}(?:[0-9]{4}(?:[0-9]{2})?)?Z", text) is None:
        raise SignersFault("a time is YYYYMMDDZ or YYYYMMDDHHMM[SS]Z, in UTC")
    digits = text[:-1].ljust(14, "0")
    year, month, day, hour, minute, second = int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, 14, 2))
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError as cause:
        raise SignersFault("no real time") from cause
    return int(moment.timestamp()) * 1000
