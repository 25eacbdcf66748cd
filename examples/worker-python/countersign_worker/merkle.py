"""Inclusion and consistency in an RFC 6962 tree (7.5, 7.6), by the algorithms of RFC 9162, 2.1.3.2 and 2.1.4.2."""
from __future__ import annotations

import hashlib

EMPTY_ROOT = hashlib.sha256(b"").digest()


class ProofFault(ValueError):
    """It does not prove what it should."""


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def verify_inclusion(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> None:
    if index >= size or any(len(one) != 32 for one in proof):
        raise ProofFault("no such leaf, or no hashes")
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            raise ProofFault("too long")
        if fn & 1 or fn == sn:
            r = _node(p, r)
            while fn & 1 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = _node(r, p)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0 or r != root:
        raise ProofFault("not in the tree")


def verify_consistency(older: int, newer: int, proof: list[bytes], older_root: bytes, newer_root: bytes) -> None:
    if older > newer or any(len(one) != 32 for one in proof):
        raise ProofFault("the tree has shrunk, or no hashes")
    if older in (0, newer):
        if proof or older_root != (newer_root if older == newer else EMPTY_ROOT):
            raise ProofFault("two roots of one size")
        return
    path = ([older_root] if older & (older - 1) == 0 else []) + proof
    if not proof:
        raise ProofFault("empty")
    fn, sn = older - 1, newer - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            raise ProofFault("too long")
        if fn & 1 or fn == sn:
            fr, sr = _node(c, fr), _node(c, sr)
            while fn & 1 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = _node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0 or fr != older_root or sr != newer_root:
        raise ProofFault("does not lead from one root to the other")
