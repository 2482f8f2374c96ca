"""A broker that somebody else runs: where it is, what it is configured with, and what production refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from plantops.deployment.initialise import initialise
from plantops.deployment.place import BROKER_URL, load_place
from plantops.deployment.secret_store import resolver
from plantops.deployment.server_file import refuse_trial, server_text, write_server_file
from plantops.deployment.site import Site, load_site
from plantops.flow.accounts import ServerOptions, ServerTls
from plantops.flow.tls import client_context
from plantops.runtime.errors import SettingsError
from support.command_line import plantops, refusal

OPTIONS = ServerOptions(folder=Path("/data"), port=4222, monitor_port=8222, logs_to_file=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return initialise(tmp_path_factory.mktemp("site") / "site", compose=True).site


def test_the_environment_says_where_a_container_finds_the_broker(site: Site) -> None:
    root = site.folder.root
    assert load_place(root, {}).settings.broker.url == "nats://127.0.0.1:4222"
    assert load_place(root, {BROKER_URL: "tls://nats:4222"}).settings.broker.url == "tls://nats:4222"
    with pytest.raises(SettingsError, match=BROKER_URL):
        load_place(root, {BROKER_URL: "nats:4222"})


def test_a_broker_is_configured_without_the_keys_of_the_office(site: Site, tmp_path: Path) -> None:
    root = tmp_path / "public"
    root.mkdir()
    for name in ("plantops.toml", "model.toml"):
        shutil.copy(site.folder.root / name, root / name)
    for name in ("sources", "policy"):
        shutil.copytree(site.folder.root / name, root / name)
    assert server_text(load_site(root), OPTIONS) == server_text(site, OPTIONS)
    (root / "policy" / "provisioners.json").write_text("{}")
    with pytest.raises(SettingsError, match="provisioner-plant"):
        server_text(load_site(root), OPTIONS)


def test_a_configuration_with_a_certificate_takes_nothing_but_tls(site: Site) -> None:
    tls = ServerTls(Path("/run/secrets/nats.pem"), Path("/run/secrets/nats.key"))
    text = server_text(site, ServerOptions(folder=Path("/data"), port=1, monitor_port=2, tls=tls))
    assert '"cert_file": "/run/secrets/nats.pem"' in text
    assert '"allow_non_tls"' not in text


def test_a_file_that_says_the_same_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "nats.conf"
    assert write_server_file(path, "one")
    assert not write_server_file(path, "one")
    assert write_server_file(path, "two")
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_production_refuses_the_demo_and_an_open_broker(site: Site, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is the demo site"):
        refuse_trial(site, url="tls://nats:4222")
    works = initialise(tmp_path / "works", site="works", compose=True).site
    with pytest.raises(SettingsError, match="not encrypted"):
        refuse_trial(works, url="nats://nats:4222")
    refuse_trial(works, url="tls://nats:4222")
    told = refusal("nats-config", "--folder", works.folder.root, "--production")
    assert "not encrypted" in told
    assert "--certificate and --key go together" in refusal(
        "nats-config", "--folder", works.folder.root, "--certificate", "x.pem"
    )


def test_the_configuration_is_printed_when_no_file_is_named(site: Site) -> None:
    told = plantops("nats-config", "--folder", site.folder.root, "--store", "/data")
    assert told.returncode == 0, told.stderr
    assert told.stdout == server_text(site, _as_printed(site)) + "\n"


def _as_printed(site: Site) -> ServerOptions:
    return ServerOptions(
        folder=Path("/data"),
        port=4222,
        monitor_port=8222,
        name=f"plantops-{site.name}",
        logs_to_file=False,
    )


def test_provisioning_a_broker_that_is_away_says_so_in_one_line(site: Site) -> None:
    told = refusal("provision", "--folder", site.folder.root, environment={BROKER_URL: "nats://127.0.0.1:1"})
    assert "cannot connect to the broker at nats://127.0.0.1:1" in told


def test_an_authority_that_is_no_certificate_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("nothing")
    with pytest.raises(SettingsError, match=r"ca\.pem holds no certificate"):
        client_context("tls://nats:4222", path)
    with pytest.raises(SettingsError, match=r"missing\.pem"):
        client_context("tls://nats:4222", tmp_path / "missing.pem")


def test_a_secret_file_is_found_from_the_site_folder_wherever_that_is_mounted(site: Site) -> None:
    password = (site.folder.root / "secrets" / "opc1-password").read_text().strip()
    assert resolver(site)("file:secrets/opc1-password") == password
    assert resolver(site)(f"file:{site.folder.root}/secrets/opc1-password") == password


def test_what_a_compose_site_holds_is_closed_to_others(site: Site) -> None:
    for folder in ("secrets", "mosquitto", "keys", "office"):
        for path in (site.folder.root / folder).rglob("*"):
            assert path.is_dir() or path.stat().st_mode & 0o077 == 0, path
    assert (site.folder.root / "simulation" / "server.pem").stat().st_mode & 0o077 == 0


def test_the_demo_against_a_site_needs_to_know_how_to_break_its_plant(site: Site) -> None:
    told = refusal("demo", "--against", site.folder.root, "--plant", "somewhere")
    assert "write HOST:PORT" in told
