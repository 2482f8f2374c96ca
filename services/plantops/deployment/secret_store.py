"""The site's encrypted store of device passwords, and the passphrase that opens it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from plantops.deployment.place import Place
from plantops.runtime.errors import SettingsError
from plantops.runtime.secrets import Secret, SecretStore, resolve_secret

PASSPHRASE_FILE = "secrets.passphrase"  # noqa: S105 - a file's name


def secret_store(site: Place) -> SecretStore | None:
    """The store; None when there is none. Its passphrase comes from a file or the environment
    (`PLANTOPS_PASSPHRASE_FILE`, `PLANTOPS_PASSPHRASE`)."""
    if not site.folder.secrets.exists():
        return None
    return SecretStore.open(site.folder.secrets, passphrase(site))


def passphrase(site: Place) -> str:
    """Raises: SettingsError when there is none."""
    if direct := os.environ.get("PLANTOPS_PASSPHRASE", ""):
        return direct
    path = Path(os.environ.get("PLANTOPS_PASSPHRASE_FILE", site.folder.keys / PASSPHRASE_FILE))
    try:
        return path.read_text().strip()
    except OSError as error:
        raise SettingsError(
            f"cannot read the passphrase of the secret store from {path} ({error.strerror}): "
            "restore it, or give it in PLANTOPS_PASSPHRASE"
        ) from error


def resolver(site: Place) -> Callable[[str], Secret]:
    """Resolves references such as `secret:plc1`; the store is opened when the first one asks for it.

    `file:` paths count from the site folder, wherever that is mounted.
    """
    opened: list[SecretStore | None] = []

    def resolve(reference: str) -> Secret:
        if not opened and reference.startswith("secret:"):
            opened.append(secret_store(site))
        if reference.startswith("file:"):
            reference = f"file:{site.folder.root / reference.removeprefix('file:')}"
        return resolve_secret(reference, store=opened[0] if opened else None, environment=os.environ)

    return resolve
