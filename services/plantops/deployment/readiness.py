"""Whether a site can start: everything that a person must mend first, before anything runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal

from plantops.adapters.host.process import process_name
from plantops.deployment.folder import Identity
from plantops.deployment.identities import (
    AUDIT_PROVISIONER,
    PLANT_PROVISIONER,
    POLICY_OFFICE,
)
from plantops.deployment.policies import read_envelope, verify_envelope
from plantops.deployment.processes import process_names
from plantops.deployment.runtime_file import read_running
from plantops.deployment.secret_store import resolver
from plantops.deployment.site import Site, own_settings
from plantops.ledger.keys import SigningKey
from plantops.policy.verify import Verified, status
from plantops.runtime.errors import PlantOpsError, SettingsError
from plantops.runtime.log import LEVELS
from plantops.runtime.nkey import NKey

SOON = timedelta(days=14)

Grade = Literal["ok", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; `advice` says what to do unless it is ok."""

    name: str
    grade: Grade
    found: str
    advice: str = ""


def refuse_unready(site: Site) -> None:
    """Called before `up` starts anything. Raises: SettingsError with the first thing to mend."""
    running = read_running(site.folder)
    if running is not None:
        raise SettingsError(
            f"{site.folder.root} runs already, as process {running.pid}: use it, or stop it first"
        )
    _check_writable(site)
    for check in readiness(site):
        if check.grade == "bad":
            raise SettingsError(f"{check.found}: {check.advice}" if check.advice else check.found)
    if not site.settings.broker.url:
        _load_office(site)


def readiness(site: Site) -> Iterator[Check]:
    """What is in the folder, one after the other."""
    yield _settings(site)
    yield _keys(site)
    yield _policy(site)
    yield _connections(site)
    yield from _cautions(site)


def _settings(site: Site) -> Check:
    settings, path = site.settings, site.folder.settings
    if settings.log_level not in LEVELS:
        return Check(
            "settings", "bad", f"{path}: log_level is {settings.log_level!r}", f"use {', '.join(LEVELS)}"
        )
    here = ", ".join(sorted(site.sources))
    return Check("site", "ok", f"{site.name}: {len(site.plant.tags)} tags of {here}")


def _keys(site: Site) -> Check:
    """Every process's two keys, readable by us and closed to others."""
    for name in process_names(site):
        if problem := _tried(partial(_load, site.folder.identity(name))):
            return Check("keys", "bad", problem, f"the process {name} needs it, restore it from its backup")
    return Check("keys", "ok", "one private folder per process")


def _load(identity: Identity) -> None:
    SigningKey.load(identity.signing)
    NKey.load(identity.login)


def _load_office(site: Site) -> None:
    """What provisions streams and publishes the policy."""
    office = site.folder.office
    for name in (PLANT_PROVISIONER, AUDIT_PROVISIONER):
        NKey.load(office / f"{name}.nk")
    _load(Identity(office / POLICY_OFFICE))


def _tried(work: Callable[[], object]) -> str:
    try:
        work()
    except PlantOpsError as error:
        return error.message
    return ""


def _policy(site: Site) -> Check:
    try:
        verified = verify_envelope(site.folder, read_envelope(site.folder), site.plant)
    except PlantOpsError as error:
        return Check("policy", "bad", error.message, _mend(site))
    return judged(site, verified, datetime.now(UTC))


def judged(site: Site, verified: Verified, now: datetime) -> Check:
    """Whether a policy fits the folder that it is meant for."""
    policy, word = verified.policy, status(verified, now)
    label = f"{site.folder.policy_envelope}: revision {policy.revision}"
    if policy.model != site.plant.digest:
        return Check(
            "policy",
            "bad",
            f"{label} was signed for the model {policy.model[:12]}, but model and tags in this folder are "
            f"now {site.plant.digest[:12]}",
            f"undo what changed in them, or {_mend(site)}",
        )
    strangers = [name for name in process_names(site) if name not in policy.principals]
    if strangers:
        return Check(
            "policy",
            "bad",
            f"{label} does not know the process {strangers[0]}",
            f"make its keys, add it under principals in {site.folder.policy_document}, then {_mend(site)}",
        )
    if word != "in_force":
        # It still serves the safe direction: a site with it starts.
        found = f"{label} is {word}: only safe-direction operations are allowed"
        return Check("policy", "warn", found, _mend(site))
    if policy.expires - now < SOON:
        return Check("policy", "warn", f"expires {policy.expires:%Y-%m-%d}", _mend(site))
    return Check("policy", "ok", f"revision {policy.revision}, until {policy.expires:%Y-%m-%d}")


def _mend(site: Site) -> str:
    there = f"--folder {site.folder.root}"
    return f"run `plantops policy revise {there}` and `plantops policy sign {there}`"


def _connections(site: Site) -> Check:
    """Each adapter looks at its own settings; where the simulated plant listens is not known yet."""
    if site.settings.simulation.enabled:
        return Check("sources", "ok", "on the simulated plant")
    secrets = resolver(site)
    for source in site.sources.values():
        build, settings = source.adapter.build, source.settings
        try:
            own = own_settings(source, {}, site.folder.state(process_name(source.name)))
            build(source.definition, own, settings.timeout_seconds, secrets)
        except PlantOpsError as error:
            return Check("sources", "bad", f"{source.path}: {error.message}")
    return Check("sources", "ok", f"{len(site.sources)} with settings that their adapters take")


def _cautions(site: Site) -> Iterator[Check]:
    """What works and is less safe than it could be; settings that are wrong are told elsewhere."""
    for source in site.sources.values():
        try:
            own = own_settings(source, {}, site.folder.state(process_name(source.name)))
        except PlantOpsError:
            continue
        for caution in source.adapter.cautions(own):
            yield Check(
                source.name, "warn", f"{source.path}: {caution}", "mend it, or be sure of the network"
            )


def _check_writable(site: Site) -> None:
    folder = site.folder.root
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(
            f"{folder} cannot be written: `plantops up` keeps its data there, check its rights"
        )
