"""The target: accounts and what they may do, in an SQLite file. A connector sees no ticket and decides nothing."""
from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS privileges (
  account INTEGER NOT NULL REFERENCES accounts, privilege TEXT NOT NULL,
  client_token TEXT NOT NULL DEFAULT '',  -- of the change that lent it; '' stands
  PRIMARY KEY (account, privilege, client_token)
) WITHOUT ROWID;
"""
BUSY_SECONDS = 5.0


class Rejected(Exception):
    """The target refuses; nothing was changed."""


class Unreachable(Exception):
    """Nothing was done, and it may be asked again."""


class Accounts:
    """One file. A new connection for each call, so that nothing is held while nothing is done."""

    def __init__(self, connector: str, target: str, file: str) -> None:
        self._connector = connector
        self._target = target
        self._file = file

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(f"file:{self._file}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
            # What is committed is on disk: whoever reports it may be killed right after.
            connection.execute("PRAGMA synchronous = FULL")
            return connection
        except sqlite3.Error as cause:
            raise Unreachable(str(cause)) from cause

    def _check(self, what: dict[str, Any]) -> None:
        if what["action"] != "grant":
            raise Rejected(f"only grants are made here, no {what['action']}")
        if what["target"] != self._target:
            raise Rejected(f"no target {what['target']} here")

    def read(self, query: dict[str, Any]) -> dict[str, Any]:
        """The account as a grant would touch it."""
        self._check(query)
        with closing(self._open()) as connection:
            account = _account(connection, query["account"])
            rows = [] if account is None else _ask(connection, "SELECT DISTINCT privilege FROM privileges WHERE account = ? ORDER BY 1", account)
        return {
            "connector": self._connector, "target": self._target, "account": query["account"], "exists": account is not None, "touched": {"account": account},
            "held": [privilege for (privilege,) in rows],
        }

    def apply(self, step: dict[str, Any]) -> None:
        """All of it or nothing, marked with the client token. SQLite says whether it was committed: there is no answer that gets lost."""
        self._check(step)
        with closing(self._open()) as connection:
            _ask(connection, "BEGIN IMMEDIATE")
            account = _account(connection, step["account"])
            if account is None:
                raise Rejected(f"no account {step['account']}")
            for privilege in step["privileges"]:
                _ask(connection, "INSERT OR IGNORE INTO privileges VALUES (?, ?, ?)", account, privilege, step["clientToken"])
            _ask(connection, "COMMIT")

    def probe(self, step: dict[str, Any]) -> bool:
        """Whether what `apply` makes is there, found by its client token."""
        with closing(self._open()) as connection:
            return bool(_ask(connection, "SELECT 1 FROM privileges WHERE client_token = ?", step["clientToken"]))

    def revoke(self, effect: dict[str, Any]) -> str:
        """Takes back and reads that it is gone: `done`, `already-absent`, or `mismatch` for what another account has under the token. Idempotent."""
        self._check(effect)
        with closing(self._open()) as connection:
            _ask(connection, "BEGIN IMMEDIATE")
            rows = _ask(connection, "SELECT DISTINCT name FROM privileges JOIN accounts ON id = account WHERE client_token = ?", effect["clientToken"])
            if any(name != effect["account"] for (name,) in rows):
                return "mismatch"
            _ask(connection, "DELETE FROM privileges WHERE client_token = ?", effect["clientToken"])
            _ask(connection, "COMMIT")
            if _ask(connection, "SELECT 1 FROM privileges WHERE client_token = ?", effect["clientToken"]):
                raise Unreachable("it is still there")
        return "done" if rows else "already-absent"


def _account(connection: sqlite3.Connection, name: str) -> int | None:
    rows = _ask(connection, "SELECT id FROM accounts WHERE name = ?", name)
    return rows[0][0] if rows else None


def _ask(connection: sqlite3.Connection, sql: str, *parameters: Any) -> list[Any]:
    try:
        return connection.execute(sql, parameters).fetchall()
    except sqlite3.Error as cause:
        raise Unreachable(str(cause)) from cause
