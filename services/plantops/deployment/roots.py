"""The trust root of a site's folder: the file that a person pinned, and the versions that followed it.

`policy/root.json` is pinned by hand and never rewritten here. `policy/root-<N>.dsse` are the signed versions
after it, each of which is verified from the one before: they may be copied about freely. What is being
written is `policy/root.next.json`, and its envelope `policy/root.next.dsse` until enough have signed it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from plantops.deployment.folder import SiteFolder
from plantops.deployment.signatures import Count, cosign, count, seal
from plantops.events.base import encode_json
from plantops.ledger.keys import SigningKey, VerifyKey
from plantops.policy.document import ROOT_TYPE, RootRole, TrustRoot
from plantops.policy.roots import (
    check_root,
    follow_root,
    load_root,
    open_root,
    root_digest,
    save_root,
    verify_root,
)
from plantops.runtime.errors import SettingsError

_FOLLOWING: Final = re.compile(r"root-([1-9][0-9]{0,8})\.dsse")


def draft_path(folder: SiteFolder) -> Path:
    """The next root as people read it."""
    return folder.trust_root.with_name("root.next.json")


def envelope_path(folder: SiteFolder) -> Path:
    """The next root, signed by as many as have signed it."""
    return folder.trust_root.with_name("root.next.dsse")


def root_envelopes(folder: SiteFolder) -> list[bytes]:
    """The roots that followed the pinned one, in order; believed by nobody yet.

    Raises: SettingsError for a file that cannot be read.
    """
    found = {
        int(match[1]): path
        for path in folder.trust_root.parent.glob("root-*.dsse")
        if (match := _FOLLOWING.fullmatch(path.name))
    }
    try:
        return [found[version].read_bytes() for version in sorted(found)]
    except OSError as error:
        raise SettingsError(
            f"cannot read a trust root in {folder.trust_root.parent}: {error.strerror}"
        ) from error


def standing_root(folder: SiteFolder) -> TrustRoot:
    """The pinned root, and as far as the signed ones in the folder lead from it.

    Raises: SettingsError; PolicyRejected when one of them does not follow.
    """
    pinned = root = load_root(folder.trust_root)
    for envelope in root_envelopes(folder):
        root = follow_root(envelope, root, pinned)
    return root


def next_signers(folder: SiteFolder) -> list[RootRole]:
    """The policy role of the root being written, if one is: its holders sign the policy beforehand."""
    path = draft_path(folder)
    return [load_root(path).policy] if path.exists() else []


def draft_root(
    folder: SiteFolder,
    *,
    add: Sequence[str] = (),
    remove: Sequence[str] = (),
    threshold: int | None = None,
    signers: RootRole | None = None,
) -> TrustRoot:
    """Write the next version: the standing one with these policy keys (Base64) added and removed.

    Without `signers` the keys that sign roots stay as they are: those of the policy, where none are named.
    Raises: SettingsError for a key that is none, is there already or is not there, or an unsound result.
    """
    standing = standing_root(folder)
    keys = list(standing.policy.keys)
    for text in add:
        VerifyKey.from_base64(text)
        if text in keys:
            raise SettingsError(f"the trust root lists {text} already: leave it out", setting="add")
        keys.append(text)
    for text in remove:
        if text not in keys:
            raise SettingsError(f"the trust root does not list {text}: see `root show`", setting="remove")
        keys.remove(text)
    role = RootRole(keys=tuple(keys), threshold=standing.policy.threshold if threshold is None else threshold)
    root = TrustRoot(
        site=standing.site,
        version=standing.version + 1,
        policy=role,
        root=signers or standing.root,
        previous=root_digest(standing),
    )
    save_root(root, draft_path(folder))
    envelope_path(folder).unlink(missing_ok=True)
    return root


def sign_next(folder: SiteFolder, keys: Sequence[SigningKey]) -> tuple[Count, Count]:
    """Sign the next root and write its envelope; how many of the old and of its own signers it has.

    Raises: SettingsError when there is no next root, or a key signs neither.
    """
    standing, root = standing_root(folder), _draft(folder)
    roles = (standing.signers, root.signers)
    envelope = seal(ROOT_TYPE, encode_json(root), keys, roles)
    envelope_path(folder).write_bytes(envelope)
    return _counts(envelope, roles)


def cosign_next(folder: SiteFolder, path: Path, keys: Sequence[SigningKey]) -> tuple[Count, Count]:
    """Add signatures to the envelope in `path`. Raises: SettingsError, TrustError."""
    envelope = read(path)
    standing, (root, _digest) = standing_root(folder), open_root(envelope)
    roles = (standing.signers, root.signers)
    envelope = cosign(envelope, ROOT_TYPE, keys, roles)
    path.write_bytes(envelope)
    return _counts(envelope, roles)


def adopt(folder: SiteFolder, envelope: bytes) -> TrustRoot:
    """Keep a verified next root in the folder, which goes by it from then on. Raises: PolicyRejected."""
    root, _digest = verify_root(envelope, standing_root(folder))
    path = folder.trust_root.with_name(f"root-{root.version}.dsse")
    draft = path.with_name(f".{path.name}.new")
    draft.write_bytes(envelope)
    draft.replace(path)
    draft_path(folder).unlink(missing_ok=True)
    envelope_path(folder).unlink(missing_ok=True)
    return root


def read(path: Path) -> bytes:
    """Raises: SettingsError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error


def _draft(folder: SiteFolder) -> TrustRoot:
    path = draft_path(folder)
    if not path.exists():
        raise SettingsError(
            f"{path} does not exist: write it with `plantops policy root new`", setting="root"
        )
    root = load_root(path)
    check_root(root)
    return root


def _counts(envelope: bytes, roles: tuple[RootRole, RootRole]) -> tuple[Count, Count]:
    old, own = (count(envelope, ROOT_TYPE, role) for role in roles)
    return old, own
