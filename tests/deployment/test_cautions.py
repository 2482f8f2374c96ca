"""What `plantops doctor` says of settings that work and are less safe than they could be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plantops.adapters.contract import GroupSettings, SourceSettings
from plantops.adapters.definition import definition_of
from plantops.adapters.registry import adapter
from plantops.deployment.initialise import initialise
from plantops.deployment.readiness import readiness
from plantops.deployment.site import Site, Source


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return initialise(tmp_path_factory.mktemp("site") / "demo").site


def warned(site: Site, connection: dict[str, Any]) -> list[str]:
    spec, groups = adapter("delegate"), (GroupSettings(name="health", period_ms=1000),)
    settings = SourceSettings(adapter="delegate", groups=groups, connection=connection)
    definition = definition_of("demo", "skid", settings, spec)
    skid = Source("skid", Path("sources/skid.toml"), settings, spec, connection, definition)
    checks = readiness(replace(site, sources={**site.sources, "skid": skid}))
    return [check.found for check in checks if check.name == "skid" and check.grade == "warn"]


def test_a_delegate_without_tls_or_signatures_is_warned_of(site: Site) -> None:
    found = warned(site, {"url": "http://skid.example", "insecure": True, "unsigned": True})
    assert ["insecure" in found[0], "unsigned" in found[1], len(found)] == [True, True, 2]


def test_a_delegate_that_signs_over_tls_is_not(site: Site) -> None:
    assert warned(site, {"url": "https://skid.example", "key_id": "a", "secret": "secret:a"}) == []
