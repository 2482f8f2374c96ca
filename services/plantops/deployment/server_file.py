"""The configuration of a NATS server that somebody else runs: who may log in, with which rights."""

from __future__ import annotations

import os
from pathlib import Path

from plantops.deployment.identities import logins
from plantops.deployment.policies import read_envelope, verify_envelope
from plantops.deployment.site import Site
from plantops.flow.accounts import ServerOptions, configuration
from plantops.flow.tls import is_encrypted
from plantops.runtime.errors import SettingsError


def server_text(site: Site, options: ServerOptions) -> str:
    """The whole file, from the signed policy; it holds public keys only.

    Raises: PolicyRejected, SettingsError.
    """
    policy = verify_envelope(site.folder, read_envelope(site.folder)).policy
    return configuration(logins(site, policy), options)


def write_server_file(path: Path, text: str) -> bool:
    """Replace the file at once, so that a server never reads half of it; whether it says something new."""
    if path.exists() and path.read_text() == text:
        return False
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return True


def refuse_trial(site: Site, *, url: str) -> None:
    """For production: not the demo's keys, and no broker in the open. Raises: SettingsError."""
    if site.name == "demo":
        raise SettingsError(
            f"{site.folder.root} is the demo site: its keys and its policy are for trying only, make "
            "a site of your own with `plantops init FOLDER --site NAME`",
            setting="site",
        )
    if not is_encrypted(url):
        raise SettingsError(
            f"the broker's address {url!r} is not encrypted: write tls://host:port", setting="broker.url"
        )
