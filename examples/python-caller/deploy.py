"""Deploys while a change gives the access for it: asks, waits, uses it, and gives it back. Needs nothing but Python 3.9 or later.

    COUNTERSIGN_SOCKET      the sidecar's unix socket
    COUNTERSIGN_TOKEN_FILE  a file with the token of the identity that asks

    deploy.py VERSION -- COMMAND…    exits as the command does; 1 refused, 5 not decided in time: the command did not run then
"""
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid

DECISION_SECONDS = 600
POLL_SECONDS = 20
# Of a change in one of these nothing more is to be had.
ENDED = ("denied", "rejected", "expired", "withdrawing", "withdrawn", "revoking", "revoked", "failed")


class Problem(RuntimeError):
    """What the sidecar says no with."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class Sidecar:
    """The sidecar at a unix socket, asked in the name of whoever has the token."""

    def __init__(self, path: str, token: str) -> None:
        self.path, self.token = path, token

    def ask(self, method: str, path: str, body=None, **headers: str) -> dict:
        """What it answers. Raises Problem with what it says no with, OSError where nobody is there."""
        connection = http.client.HTTPConnection("localhost", timeout=POLL_SECONDS + 30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(connection.timeout)
        with contextlib.closing(connection):
            connection.sock.connect(self.path)
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        if response.status >= 300:
            raise Problem(answer["code"], answer["detail"])
        return answer

    def wait(self, change: dict, over, seconds: float) -> dict:
        """The change once it is in one of these states, or as it is when the time is over. Each question is answered when something happens."""
        deadline = time.monotonic() + seconds
        while change["state"] not in over and time.monotonic() < deadline:
            change = self.ask("GET", f"/v1/changes/{change['id']}?since={change['length']}&wait=PT{POLL_SECONDS}S")
        return change


class Refused(Exception):
    """The access is not there: `exit_code` says why."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@contextlib.contextmanager
def access(sidecar: Sidecar, change: dict):
    """The change while its access is there. Whatever happens in between, at the end nothing more is given by it, and what was is ordered back."""
    # Asked again after an answer that was lost, the same key gives the same change.
    change = sidecar.ask("POST", "/v1/changes", change, **{"Idempotency-Key": f'"{uuid.uuid4()}"'})
    print(f"{change['id']} asked for", file=sys.stderr)
    try:
        change = sidecar.wait(change, ("active", *ENDED), DECISION_SECONDS)
        if change["state"] != "active":
            raise Refused(f"{change['id']} is {change['state']}", 1 if change["state"] in ENDED else 5)
        yield change
    finally:
        if change["state"] not in ENDED:
            give_back(sidecar, change)


def give_back(sidecar: Sidecar, change: dict) -> None:
    """Nobody approves a run that is gone: it is withdrawn, or where it is too late for that, what it has given is taken back."""
    for order in ("revoke",) if change["state"] == "active" else ("withdraw", "revoke"):
        try:
            sidecar.ask("POST", f"/v1/changes/{change['id']}/{order}", {"comment": "not needed any more"})
            return
        except Problem as problem:
            # Somebody took it back before us, or its time was over.
            if problem.code not in ("too-late", "nothing-to-revoke"):
                raise


def main(version: str, command: list) -> int:
    # As Ctrl-C does: the command is ended, and what it had is given back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with open(os.environ["COUNTERSIGN_TOKEN_FILE"], encoding="utf-8") as file:
        sidecar = Sidecar(os.environ["COUNTERSIGN_SOCKET"], file.read().strip())
    wanted = {
        "kind": "grant", "subject": "nhi:prod/ci-deployer", "purpose": "deploy-orders", "reason": f"deploys {version}", "duration": "PT10M",
        "entitlements": [{"connector": "pg-main", "target": "app", "privilege": "role:deploy"}],
    }
    try:
        with access(sidecar, wanted) as change:
            step = change["plan"]["steps"][0]
            print(f"{change['id']} {step['account']} has {', '.join(step['privileges'])} until {change['lease']['endsAt']}", file=sys.stderr)
            return subprocess.run(command, check=False, env={**os.environ, "VERSION": version, "COUNTERSIGN_ACCOUNT": step["account"]}).returncode
    except Refused as refused:
        print(refused, file=sys.stderr)
        return refused.exit_code


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[2] != "--":
        sys.exit("usage: deploy.py VERSION -- COMMAND…")
    sys.exit(main(sys.argv[1], sys.argv[3:]))
