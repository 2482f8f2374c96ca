"""Where things lie in a site folder. Paths only; nothing is opened here.

plantops.toml, model.toml, sources/*.toml     what a person writes
policy/{root.json,policy.json,policy.dsse}    trust root, document, signed envelope
policy/before/*.dsse                          envelopes that were replaced
policy/provisioners.json                      public keys of the two provisioners
keys/<process>/{login.nk,signing.key}         one folder per process: mounted alone, 0700
people/<name>/{login.nk,signing.key}          what a person holds; made by `identity new`
office/                                       policy root key and provisioners: off the running host
data/                                         broker, snapshots of nothing else
run/                                          ports and process ids of a running `plantops up`
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SiteFolder:
    """The folder of one site."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / "plantops.toml"

    @property
    def trust_root(self) -> Path:
        return self.root / "policy" / "root.json"

    @property
    def policy_document(self) -> Path:
        return self.root / "policy" / "policy.json"

    @property
    def policy_envelope(self) -> Path:
        return self.root / "policy" / "policy.dsse"

    @property
    def earlier_policies(self) -> Path:
        """Envelopes of before, whose keys a verification of the audit needs."""
        return self.root / "policy" / "before"

    @property
    def provisioners(self) -> Path:
        return self.root / "policy" / "provisioners.json"

    @property
    def office(self) -> Path:
        return self.root / "office"

    @property
    def root_key(self) -> Path:
        return self.office / "root.key"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def people(self) -> Path:
        return self.root / "people"

    @property
    def broker_data(self) -> Path:
        return self.root / "data" / "nats"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def runtime_file(self) -> Path:
        """What a running `plantops up` tells the other commands: ports and process ids, as JSON."""
        return self.run / "up.json"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.store"

    def identity(self, name: str, *, person: bool = False) -> Identity:
        """Key files of one identity."""
        return Identity((self.people if person else self.keys) / name)

    def state(self, process: str, replica: int = 1) -> Path:
        """A process's own files: high-water marks and stand-in records, nothing that a log could rebuild.

        Of several of one name on this machine each has its own: `gate`, `gate-2`, `gate-3` ...
        """
        return self.root / "data" / (process if replica == 1 else f"{process}-{replica}")


@dataclass(frozen=True, slots=True)
class Identity:
    """The two keys of an identity: one to connect, one to sign; never the same."""

    folder: Path

    @property
    def login(self) -> Path:
        return self.folder / "login.nk"

    @property
    def signing(self) -> Path:
        return self.folder / "signing.key"
