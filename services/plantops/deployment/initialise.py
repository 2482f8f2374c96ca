"""Makes a site folder: files, keys, trust root, and the first signed policy.

One folder of keys per process (0600), the root and provisioner keys in `office/`, which belongs off the
running host. Nothing that exists is overwritten.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

from plantops.deployment.compose_site import lay_out
from plantops.deployment.folder import Identity, SiteFolder
from plantops.deployment.identities import (
    AUDIT_PROVISIONER,
    PLANT_PROVISIONER,
    PROGRAMS,
    is_office,
    process_specs,
    role_of,
    tell_provisioners,
)
from plantops.deployment.policies import sign_policy, write_policy
from plantops.deployment.secret_store import PASSPHRASE_FILE
from plantops.deployment.site import Site, load_site
from plantops.events.base import Digest, is_token
from plantops.ledger.keys import SigningKey
from plantops.policy.acts import ACTS
from plantops.policy.document import (
    SCHEMA,
    BypassClass,
    Compare,
    Delegated,
    Every,
    OperationRule,
    Permissive,
    Policy,
    Principal,
    Role,
    RootRole,
    TrustRoot,
)
from plantops.policy.verify import save_root
from plantops.runtime.errors import SettingsError
from plantops.runtime.nkey import NKey
from plantops.runtime.secrets import Cost, SecretStore

PACKAGE = "plantops.deployment.demo_site"
# The people of the demo and their roles.
DEMO_PEOPLE = {"alice": ("operator",), "bob": ("supervisor",), "carol": ("viewer",)}
# The demo's store protects nothing; a site of its own makes one with the full cost by `secret set`.
DEMO_COST = Cost(passes=1, memory_bytes=8 * 1024 * 1024)

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Made:
    """What `initialise` made, for people."""

    site: Site
    identities: int
    people: tuple[str, ...]


def initialise(
    root: Path,
    *,
    site: str = "demo",
    compose: bool = False,
    front: bool = True,
    on_step: Step = lambda _text: None,
) -> Made:
    """A complete site that `plantops up` can start: the demo plant under the name `site`.

    With `compose` it is one that compose.yaml can start instead (`compose_site`). Without `front`
    tools, agent and gateway are not started by it.

    Raises: SettingsError when the folder already holds a site, or the name cannot be one.
    """
    folder = SiteFolder(root)
    if folder.settings.exists():
        raise SettingsError(f"{folder.settings} exists: this folder is a site already", setting="folder")
    if not is_token(site):
        raise SettingsError(f"site {site!r}: use letters, digits, '-' and '_'", setting="site")
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    root.chmod(0o700)
    on_step("files")
    _copy_files(folder, site, front=front, compose=compose)
    if compose:
        lay_out(folder)
    loaded = load_site(root)
    on_step("keys")
    principals = _make_keys(folder, loaded)
    tell_provisioners(folder)
    principals |= _make_people(folder) if site == "demo" else {}
    on_step("policy")
    policy = first_policy(loaded, principals, demo=site == "demo")
    write_policy(folder, policy)
    sign_policy(folder, [SigningKey.load(folder.root_key)])
    on_step("secrets")
    _make_secrets(folder)
    people = tuple(DEMO_PEOPLE) if site == "demo" else ()
    return Made(loaded, len(principals), people)


def _copy_files(folder: SiteFolder, site: str, *, front: bool, compose: bool) -> None:
    source = resources.files(PACKAGE)
    for name in ("plantops.toml", "model.toml", "sources/plc1.toml", "sources/opc1.toml"):
        target = folder.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.joinpath(name).read_text()
        if name == "plantops.toml":
            text = text.replace('site = "demo"', f'site = "{site}"')
            if not front:
                head, mark, tail = text.partition("[tools]")
                text = head + mark + tail.replace("enabled = true", "enabled = false")
            elif site != "demo" or compose:
                text = text.replace("[gateway.demo]\nenabled = true", "[gateway.demo]\nenabled = false")
        target.write_text(text)


def _private(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path


def make_identity(identity: Identity) -> tuple[str, str]:
    """New keys in an identity's folder; gives (public signing key in Base64, public login nkey).

    Raises: SettingsError when a key stands there already.
    """
    _private(identity.folder)
    signing, login = SigningKey.generate(), NKey.generate()
    signing.save(identity.signing)
    login.save(identity.login)
    return signing.public.to_base64(), login.public


def _make_keys(folder: SiteFolder, site: Site) -> dict[str, Principal]:
    _private(folder.office)
    root_key = SigningKey.generate()
    root_key.save(folder.root_key)
    folder.trust_root.parent.mkdir(parents=True, exist_ok=True)
    save_root(
        TrustRoot(
            site=site.name,
            version=1,
            policy=RootRole(keys=(root_key.public.to_base64(),), threshold=1),
        ),
        folder.trust_root,
    )
    for name in (PLANT_PROVISIONER, AUDIT_PROVISIONER):
        NKey.generate().save(folder.office / f"{name}.nk")
    principals = {}
    for spec in process_specs(site.name, tuple(site.sources)):
        identity = Identity(folder.office / spec.name) if is_office(spec.name) else folder.identity(spec.name)
        key, login = make_identity(identity)
        principals[spec.name] = Principal(
            kind="process", keys=(key,), logins=(login,), roles=role_of(spec.name)
        )
    for name, roles in PROGRAMS.items():
        key, login = make_identity(folder.identity(name))
        principals[name] = Principal(kind="agent", keys=(key,), logins=(login,), roles=roles)
    return principals


def _make_people(folder: SiteFolder) -> dict[str, Principal]:
    people = {}
    for name, roles in DEMO_PEOPLE.items():
        key, login = make_identity(folder.identity(name, person=True))
        people[name] = Principal(kind="person", person=name, keys=(key,), logins=(login,), roles=roles)
    return people


def _make_secrets(folder: SiteFolder) -> None:
    passphrase = secrets.token_urlsafe(24)
    path = folder.keys / PASSPHRASE_FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(passphrase + "\n")
    store = SecretStore.create(folder.secrets, passphrase, cost=DEMO_COST)
    store.set("opc1", secrets.token_urlsafe(18))


def first_policy(site: Site, principals: dict[str, Principal], *, demo: bool) -> Policy:
    """Revision 1 for the demo plant: roles, risks, safe directions and permissives.

    Unsigned intents, and what the gateway confirms or approves for a person, are for the demo only: there
    unsigned ones reach up to risk medium, and the gateway's word up to critical.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    return Policy(
        schema=SCHEMA,
        id=f"{site.name}-policy",
        audience=site.name,
        revision=1,
        previous=Digest(""),
        not_before=now - timedelta(minutes=1),
        expires=now + timedelta(days=90),
        model=site.plant.digest,
        moc="first policy of the site",
        principals=principals,
        roles={
            "operator": Role(operations=("pump-001.*", "valve-001.*", "tool.*", *_acts())),
            "supervisor": Role(operations=("*.*", *_acts())),
            "viewer": Role(operations=()),
            # Everybody in the chain must be allowed: these two may no more than who asks them, and no act
            # is proposed by a model.
            "assistant": Role(operations=("pump-001.*", "valve-001.*", "tool.*")),
            "portal": Role(operations=("*.*", *_acts())),
        },
        operations=_operations(),
        permissives=_permissives(),
        bypass_classes={
            "instrument": BypassClass(
                permissives=("motor-cool",),
                roles=("operator", "supervisor"),
                max_seconds=4 * 3600.0,
                text="a sensor is known to be wrong, and a person watches instead",
            )
        },
        delegated=Delegated(confirm_risk="high", approve_risk="critical") if demo else Delegated(),
        unsigned_risk="medium" if demo else "",
    )


def _acts() -> tuple[str, ...]:
    """A role covers an act by its exact name only."""
    return tuple(f"*.{name}" for name in ACTS)


def _operations() -> dict[str, OperationRule]:
    safe = OperationRule(safe_direction=True, execute_seconds=30.0)
    return {
        "pump-001.StopPump": safe,
        "pump-001.EmergencyStop": safe,
        "valve-001.CloseValve": safe,
        "pump-001.ResetFault": OperationRule(
            risk="critical", approvals=1, approval_roles=("supervisor",), approval_seconds=900.0
        ),
        "*.act-bypass": OperationRule(approvals=1, approval_roles=("supervisor",)),
    }


def _permissives() -> tuple[Permissive, ...]:
    cool = Compare(
        property="pump-001.motor_temperature", op="<=", value=95.0, unit="Cel", max_age_seconds=3.0
    )
    slow = Compare(property="pump-001.speed", op="<=", value=100.0, unit="rpm", max_age_seconds=3.0)
    return (
        Permissive(
            id="motor-cool",
            applies=("pump-001.StartPump", "pump-001.SetSpeed"),
            require=cool,
            text="the motor is cool enough",
        ),
        Permissive(
            id="pump-slow",
            applies=("pump-001.ResetFault",),
            require=Every(of=(cool, slow)),
            text="the pump stands and is cool",
        ),
    )
