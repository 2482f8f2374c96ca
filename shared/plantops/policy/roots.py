"""The trust root: sound, on the host, and followed from version to version. Pure but for its file.

Version N + 1 is an envelope of type `ROOT_TYPE` around the canonical JSON of a `TrustRoot` (`encode_json`),
so that the digest of a payload and of the same root in a file, however laid out there, are one. It counts
when it names N's digest as `previous` and carries the threshold of N's signers and of its own, counted by
key id (TUF specification 1.0.34, 5.3.4 and 5.3.5).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from plantops.events.base import Digest, encode_json, is_token
from plantops.ledger import dsse
from plantops.ledger.keys import VerifyKey
from plantops.policy.document import ROOT_TYPE, RootRole, TrustRoot
from plantops.runtime.errors import PolicyRejected, SettingsError, TrustError


def root_digest(root: TrustRoot) -> Digest:
    """SHA-256 of the canonical JSON: what the next version names as `previous`."""
    return Digest(hashlib.sha256(encode_json(root)).hexdigest())


def trusted_keys(role: RootRole, what: str = "policy") -> dict[str, VerifyKey]:
    """The role's keys by key id. Raises: SettingsError when a key is none or stands twice, or the threshold
    cannot be reached."""
    keys = [VerifyKey.from_base64(text) for text in role.keys]
    trusted = {key.keyid: key for key in keys}
    if len(trusted) != len(keys):
        raise SettingsError("the trust root names a key twice: remove one", setting=f"{what}.keys")
    if not 1 <= role.threshold <= min(len(trusted), dsse.MAX_SIGNATURES):
        raise SettingsError(
            f"the trust root asks for {role.threshold} of {len(trusted)} keys: correct one of them",
            setting=f"{what}.threshold",
        )
    return trusted


def check_root(root: TrustRoot) -> None:
    """Raises: SettingsError with the first thing that cannot be meant."""
    for problem in _problems(root):
        raise SettingsError(f"the trust root {problem}", setting="root")
    trusted_keys(root.policy)
    if root.root is not None:
        trusted_keys(root.root, "root")


def _problems(root: TrustRoot) -> Iterator[str]:
    if not is_token(root.site):
        yield f"is for the site {root.site!r}: give the name of one site"
    if root.version < 1:
        yield f"has version {root.version}: versions count from 1"
    if root.previous and (len(root.previous) != 64 or set(root.previous) - set("0123456789abcdef")):
        yield f"follows {root.previous!r}, which is no SHA-256 in lower-case hexadecimal"


def open_root(envelope: bytes) -> tuple[TrustRoot, Digest]:
    """The root in an envelope, sound but believed by nobody yet. Raises: PolicyRejected."""
    try:
        opened = dsse.decode(envelope)
        payload = opened.body()
    except TrustError as error:
        raise PolicyRejected(f"the trust root cannot be read: {error}") from error
    if opened.payloadType != ROOT_TYPE:
        raise PolicyRejected(
            f"the envelope holds {opened.payloadType!r}, not a trust root: send the right one"
        )
    digest = Digest(hashlib.sha256(payload).hexdigest())
    try:
        root = _DECODER.decode(payload)
        check_root(root)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, SettingsError) as error:
        raise PolicyRejected(
            f"the trust root makes no sense ({error}): write it anew", digest=digest
        ) from error
    if encode_json(root) != payload:
        raise PolicyRejected(
            "the trust root is not in its canonical form: sign it with `root sign`", digest=digest
        )
    return root, digest


def verify_root(envelope: bytes, standing: TrustRoot) -> tuple[TrustRoot, Digest]:
    """The root that follows `standing`, and its digest.

    Raises: PolicyRejected: another site, not exactly the next version, another predecessor, or without the
    threshold of the standing signers or of its own.
    """
    root, digest = open_root(envelope)
    label = f"trust root version {root.version}"
    if root.site != standing.site:
        raise PolicyRejected(f"{label} is of site {root.site!r}, not {standing.site!r}", digest=digest)
    if root.version != standing.version + 1:
        raise PolicyRejected(
            f"{label} cannot follow version {standing.version}: publish version {standing.version + 1}",
            digest=digest,
        )
    if root.previous != root_digest(standing):
        raise PolicyRejected(
            f"{label} follows {root.previous[:12] or 'nothing'}, trusted is {root_digest(standing)[:12]}:"
            " write it upon the trusted one",
            digest=digest,
        )
    for role, whose in ((standing.signers, f"version {standing.version}"), (root.signers, "its own")):
        signed = _signed_by(envelope, role)
        if len(signed) < role.threshold:
            raise PolicyRejected(
                f"{label} has {len(signed)} of {role.threshold} signatures of {whose} signers:"
                " let more of them sign it",
                digest=digest,
            )
    return root, digest


def follow_root(envelope: bytes, standing: TrustRoot, pinned: TrustRoot) -> TrustRoot:
    """The root that is trusted after this one was offered; `standing` when that changes nothing.

    What is older than `pinned`, the file on the host, is history that the file stands for, and skipped.
    Raises: PolicyRejected for what does not follow, an older root offered again, or another root under a
    version that is known.
    """
    root, digest = open_root(envelope)
    if root.version < pinned.version or digest == root_digest(standing):
        return standing
    if root.version < standing.version:
        if root.version == pinned.version and digest == root_digest(pinned):
            return standing
        raise PolicyRejected(
            f"trust root version {root.version} is older than version {standing.version}, which is trusted"
            " here: nothing changes",
            digest=digest,
        )
    if root.version == standing.version:
        raise PolicyRejected(
            f"another trust root has the version {root.version} that is trusted here: somebody forked it",
            digest=digest,
        )
    return verify_root(envelope, standing)[0]


def newer_root(one: TrustRoot, other: TrustRoot | None) -> TrustRoot:
    """Of the pinned root and one that was followed before, the one with the higher version."""
    return one if other is None or one.version >= other.version else other


def load_root(path: Path) -> TrustRoot:
    """The trust root in a JSON file, as `save_root` writes it.

    Raises: SettingsError when the file is missing or says anything that is not understood.
    """
    try:
        root = _DECODER.decode(path.read_bytes())
    except FileNotFoundError as error:
        raise SettingsError(f"{path} does not exist: copy the site's trust root there") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}): check path and rights") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"{path} is no trust root: {error}") from error
    check_root(root)
    return root


def save_root(root: TrustRoot, path: Path) -> None:
    """Write the root as JSON, all or nothing. Raises: SettingsError when it is unsound or not writable."""
    check_root(root)
    data = msgspec.json.format(msgspec.json.encode(root, order="sorted"), indent=2) + b"\n"
    draft = path.with_name(f".{path.name}.new")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error


def signed_by(envelope: bytes, kind: str, role: RootRole) -> tuple[str, ...]:
    """The different keys of a role that signed, as key ids; none where only strangers did.

    Raises: TrustError when a signature under one of its keys does not fit, or there is none at all.
    """
    trusted = trusted_keys(role)
    opened = dsse.decode(envelope)
    if opened.signatures and not any(each.keyid in trusted for each in opened.signatures):
        return ()
    return dsse.open_envelope(opened, expected_type=kind, trusted=trusted).signers


def _signed_by(envelope: bytes, role: RootRole) -> tuple[str, ...]:
    try:
        return signed_by(envelope, ROOT_TYPE, role)
    except TrustError as error:
        raise PolicyRejected(f"the trust root is not believed: {error}") from error


_DECODER = msgspec.json.Decoder(TrustRoot)
