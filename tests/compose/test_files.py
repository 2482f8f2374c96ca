"""What compose.yaml and its overlay say: a service for each process, and none that may more than it needs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from layout.repository import ROOT
from plantops.deployment.initialise import initialise
from plantops.deployment.place import BROKER_URL, load_place
from plantops.deployment.processes import process_names
from plantops.deployment.variables import VARIABLES
from support.compose import BASE, PRODUCTION
from support.engine import compose_plugin

__all__ = ["compose_plugin"]
pytestmark = pytest.mark.usefixtures("compose_plugin")

ONCE = {"nats-config", "provision", "init", "cli"}
# Service -> what it may see beside the keys of its own name, and why.
MORE_SECRETS = {
    "provision": ("office/provisioner-plant.nk", "office/provisioner-audit.nk", "office/policy-office/"),
    "adapter-opc1": ("secrets/opc1-password",),
    "archive": ("keys/archive-audit/",),
    "tools": ("keys/tools-audit/",),
    "agent-host": ("keys/agent/",),
    "simulation": ("secrets/opc1-password", "simulation/server."),
    "mosquitto": ("mosquitto/",),
    "grafana": ("secrets/grafana-password",),
}
PUBLIC = {"plantops.toml", "model.toml", "sources", "policy", "gateway"}


def described(*files: str) -> dict[str, Any]:
    """All services as compose understands them, also those that are started by hand."""
    words = [word for file in files for word in ("-f", file)]
    shown = subprocess.run(
        ["docker", "compose", *words, "--profile", "*", "config", "--format", "json"],
        cwd=ROOT,
        env={**os.environ, "PLANTOPS_SITE": "/the/site"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    return dict(json.loads(shown.stdout))


def test_every_process_of_a_site_has_a_service_of_its_own(tmp_path: Path) -> None:
    site = initialise(tmp_path / "site", compose=True).site
    services = described(*BASE)["services"]
    assert [name for name in process_names(site) if services[name]["command"] != ["run", name]] == []


@pytest.mark.parametrize("files", [BASE, PRODUCTION], ids=["compose.yaml", "with compose.prod.yaml"])
def test_no_container_can_do_or_take_more_than_it_needs(files: tuple[str, ...]) -> None:
    for name, service in described(*files)["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert not {"cap_add", "privileged"} & set(service), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"] == "10001:10001", name
        assert int(service["mem_limit"]) if name not in ("init", "cli") else True, name
        assert service["restart"] == ("no" if name in ONCE else "unless-stopped"), name
        assert service.get("healthcheck", {}).get("disable", False) == (name in ONCE), name
        assert {port["host_ip"] for port in service.get("ports", ())} <= {"127.0.0.1"}, name


def test_a_container_sees_its_own_keys_and_public_files_only() -> None:
    found = described(*BASE)
    files = {name: secret["file"].removeprefix("/the/site/") for name, secret in found["secrets"].items()}
    assert "office/root.key" not in files.values()
    for name, service in found["services"].items():
        may = (f"keys/{name}/", *MORE_SECRETS.get(name, ()))
        seen = [files[secret["source"]] for secret in service.get("secrets", ())]
        assert [file for file in seen if not file.startswith(may)] == [], name
        mounts = [each for each in service.get("volumes", ()) if each["type"] == "bind"]
        site = [each for each in mounts if each["source"].startswith("/the/site")]
        if name not in ("init", "cli"):
            assert {each["source"].removeprefix("/the/site/") for each in site} <= PUBLIC, name
            assert all(each["read_only"] for each in mounts), name


def test_each_volume_is_written_by_one_service() -> None:
    writers: dict[str, set[str]] = {}
    for name, service in described(*BASE)["services"].items():
        for each in service.get("volumes", ()):
            if each["type"] == "volume" and not each.get("read_only"):
                writers.setdefault(each["source"], set()).add(name)
    # It writes the broker's file; on the others it stands only so that they are made with the right owner.
    shared = {volume: names - {"nats-config"} for volume, names in writers.items()}
    assert {volume: names for volume, names in shared.items() if len(names) > 1} == {}


@pytest.mark.parametrize("files", [BASE, PRODUCTION], ids=["compose.yaml", "with compose.prod.yaml"])
def test_what_compose_says_of_settings_is_right_and_nobody_believes_a_header(
    tmp_path: Path, files: tuple[str, ...]
) -> None:
    root = initialise(tmp_path / "site", compose=True).site.folder.root
    services = described(*files)["services"]
    told = {name: load_place(root, service.get("environment", {})) for name, service in services.items()}
    gateway = told["gateway"].settings.gateway
    assert (gateway.host, gateway.demo.enabled) == ("0.0.0.0", False)
    assert services["gateway"]["ports"][0]["target"] == gateway.port


def test_in_production_nothing_is_simulated_and_every_port_speaks_tls() -> None:
    found = described(*PRODUCTION)["services"]
    assert found["simulation"]["profiles"] == ["simulation"]
    assert not found["simulation"].get("ports")
    published = {
        name: service["ports"][0]["target"] for name, service in found.items() if service.get("ports")
    }
    assert published == {"nats": 4222, "gateway": 8443, "mosquitto": 8883, "grafana": 3000}
    for name in published:
        assert {f"{name}.pem", f"{name}.key"} <= {each["source"] for each in found[name]["secrets"]}
    assert "--certificate=/run/secrets/nats.pem" in found["nats-config"]["command"]
    assert found["grafana"]["environment"]["GF_SERVER_PROTOCOL"] == "https"
    said = VARIABLES.given(found["gateway"]["environment"])
    assert {one.place[-1]: one.value for one in said if one.place[:2] == ("gateway", "tls")} == {
        "certificate": "/run/secrets/gateway.pem",
        "key": "/run/secrets/gateway.key",
    }
    assert "certfile" in (ROOT / "services/mosquitto/mosquitto.tls.conf").read_text()
    for name in ("nats-config", "provision"):
        assert "--production" in found[name]["command"]
    addresses = {service.get("environment", {}).get(BROKER_URL, "tls:") for service in found.values()}
    assert {address.partition(":")[0] for address in addresses} == {"tls"}
