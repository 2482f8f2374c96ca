"""Which processes share an operating-system process."""

from __future__ import annotations

import pytest

from plantops.deployment.supervisor import grouped
from plantops.runtime.errors import SettingsError

NAMES = ("notary", "gate", "timer", "adapter-a", "adapter-b")


def test_patterns_gather_and_the_rest_runs_alone() -> None:
    groups = {"field": ("adapter-*",), "gate": ("gate", "timer"), "nobody": ("agent",)}
    assert grouped(NAMES, groups) == {
        "field": ("adapter-a", "adapter-b"),
        "gate": ("gate", "timer"),
        "notary": ("notary",),
    }


def test_nobody_stands_in_two_groups() -> None:
    with pytest.raises(SettingsError, match="adapter-a"):
        grouped(NAMES, {"one": ("adapter-*",), "two": ("adapter-a",)})
