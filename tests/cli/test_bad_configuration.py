"""What a person wrote wrong is told in one line with file, line and key, before anything starts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from plantops.cli.main import run
from plantops.deployment.initialise import initialise
from support.command_line import plantops, refusal


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo site as `init` makes it."""
    folder = tmp_path_factory.mktemp("configuration") / "sound"
    initialise(folder)
    return folder


@pytest.fixture
def site(sound: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(sound, tmp_path / "site"))


def replaced(name: str, old: str, new: str) -> Callable[[Path], object]:
    """Change the first `old` in a file."""

    def change(site: Path) -> None:
        path = site / name
        text = path.read_text()
        assert old in text, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new, 1))

    return change


def added(name: str, text: str) -> Callable[[Path], object]:
    """Put lines at the end of a file."""

    def change(site: Path) -> None:
        with (site / name).open("a") as file:
            file.write(text)

    return change


def written(name: str, text: str) -> Callable[[Path], object]:
    """A file that was not there."""

    def change(site: Path) -> None:
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(text)

    return change


def removed(name: str) -> Callable[[Path], object]:
    return lambda site: (site / name).unlink()


def with_policy(**values: object) -> Callable[[Path], object]:
    """Change the unsigned document."""

    def change(site: Path) -> None:
        path = site / "policy" / "policy.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


PLC, SITE, MODEL = "sources/plc1.toml", "plantops.toml", "model.toml"
A_TAG = '\n[[tags]]\nname = "{name}"\naddress = "{address}"\n'

# What is broken, and what the line must say.
MISTAKES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "no toml": (replaced(SITE, "[broker]", "[broker"), ("plantops.toml:", "is not TOML")),
    "unknown key": (
        replaced(SITE, "monitor_port", "monitor_prot"),
        ("plantops.toml:9:", "broker.monitor_prot", "did you mean 'monitor_port'?"),
    ),
    "wrong type": (
        replaced(SITE, "port = 0 ", 'port = "x" '),
        ("plantops.toml:8:", "broker.port", "whole number"),
    ),
    "port out of range": (replaced(SITE, "port = 0 ", "port = 70000 "), ("plantops.toml:8:", "65535")),
    "bad site name": (replaced(SITE, 'site = "demo"', 'site = "a b"'), ("plantops.toml:3:", "'a b'")),
    "bad log level": (
        replaced(SITE, 'model = "model.toml"', 'model = "model.toml"\nlog_level = "loud"'),
        ("plantops.toml", "log_level", "'loud'", "info"),
    ),
    "missing source file": (removed(PLC), ("plantops.toml:17:", "sources.plc1", "plc1.toml", "no file")),
    "missing model": (removed(MODEL), ("plantops.toml:4:", "model.toml", "no file")),
    "process in two groups": (
        replaced(SITE, 'core = ["twin"]', 'core = ["twin", "gate"]'),
        ("'gate'", "'core'", "groups"),
    ),
    "unknown adapter": (replaced(PLC, '"modbus"', '"modbsu"'), ("plc1.toml:2:", "'modbsu'", "modbus, opcua")),
    "unknown connection key": (
        replaced(PLC, "unit = 1", "untie = 1"),
        ("plc1.toml:8:", "connection.untie", "did you mean 'unit'?"),
    ),
    "wrong connection type": (
        replaced(PLC, 'host = "127.0.0.1"', "host = 127"),
        ("plc1.toml:6:", "connection.host", "text in quotes"),
    ),
    "unknown tag key": (
        replaced(PLC, "writable = true", "writeable = true"),
        ("plc1.toml:23:", "writeable", "did you mean 'writable'?"),
    ),
    "bad address": (
        replaced(PLC, "holding:0:uint16", "holdng:0:uint16"),
        ("plc1.toml:21:", "'plc1.pump.speed_setpoint'", "holdng"),
    ),
    "duplicate tag": (
        added(PLC, A_TAG.format(name="plc1.pump.run", address="coil:1")),
        ("plc1.toml:", "'plc1.pump.run'", "twice"),
    ),
    "tag of two sources": (
        added("sources/opc1.toml", A_TAG.format(name="plc1.pump.run", address="ns=2;s=Name:string")),
        ("opc1.toml:", "'plc1.pump.run'", "plc1.toml"),
    ),
    "unknown group": (replaced(PLC, 'group = "fast"', 'group = "fats"'), ("plc1.toml:19:", "'fats'")),
    "model of a missing tag": (
        replaced(MODEL, '"plc1.pump.speed"', '"plc1.pump.sped"'),
        ("model.toml:", "'plc1.pump.sped'", "did you mean 'plc1.pump.speed'?"),
    ),
    "tag map that the policy does not know": (
        replaced(PLC, "holding:0:uint16", "holding:40:uint16"),
        ("policy.dsse", "model", "plantops policy revise", "plantops policy sign"),
    ),
    "no signed policy": (removed("policy/policy.dsse"), ("policy.dsse", "plantops policy sign")),
    "no trust root": (removed("policy/root.json"), ("root.json", "does not exist")),
    "no key of a process": (removed("keys/gate/signing.key"), ("keys/gate/signing.key", "gate")),
    "damaged runtime file": (
        written("run/up.json", "{"),
        ("up.json", "damaged"),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_up_names_the_mistake_and_starts_nothing(
    site: Path, mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, wanted = MISTAKES[mistake]
    spoil(site)
    # In this process, which has imported what each real one would import again; one real one stands below.
    assert run(["up", "--folder", str(site)]) == 1
    told = capsys.readouterr()
    assert not told.out
    (line,) = told.err.splitlines()
    assert line.startswith("error: ")
    assert all(word in line for word in wanted), line
    assert not (site / "data").exists()


def test_the_real_program_says_it_in_one_line_too(site: Path) -> None:
    replaced(SITE, "monitor_port", "monitor_prot")(site)
    assert "did you mean 'monitor_port'?" in refusal("up", "--folder", site)
    assert not (site / "data").exists()


def test_a_missing_passphrase_is_told_by_what_needs_it(site: Path) -> None:
    (site / "keys" / "secrets.passphrase").unlink()
    assert "secrets.passphrase" in refusal("secret", "list", "--folder", site)


def test_doctor_says_the_same_and_fails(site: Path) -> None:
    replaced(PLC, "holding:0:uint16", "holding:40:uint16")(site)
    done = plantops("doctor", "--folder", site)
    assert done.returncode == 1
    assert "plantops policy revise" in done.stdout
    assert done.stderr.splitlines() == ["error: policy is bad: mend it as told above"]


def test_revising_and_signing_mends_a_changed_model(site: Path) -> None:
    replaced(PLC, "holding:0:uint16", "holding:40:uint16")(site)
    revised = json.loads(plantops("policy", "revise", "--folder", site, "--json").stdout)
    assert revised["revision"] == 2
    assert plantops("policy", "sign", "--folder", site).returncode == 0
    checks = json.loads(plantops("doctor", "--folder", site, "--json").stdout)
    assert next(check for check in checks if check["name"] == "policy")["grade"] == "ok"


def test_a_revision_keeps_what_people_wrote(site: Path) -> None:
    with_policy(max_age_seconds=7.0)(site)
    before = json.loads((site / "policy" / "policy.json").read_text())
    assert plantops("policy", "revise", "--folder", site, "--moc", "MOC-12").returncode == 0
    after = json.loads((site / "policy" / "policy.json").read_text())
    assert after["max_age_seconds"] == 7.0
    assert after["moc"] == "MOC-12"
    changed = {"revision", "previous", "not_before", "expires", "moc"}
    assert {k: v for k, v in before.items() if k not in changed} == {
        k: v for k, v in after.items() if k not in changed
    }


def test_a_policy_with_an_unknown_field_is_not_signed(site: Path) -> None:
    with_policy(permissves=[])(site)
    assert "permissves" in refusal("policy", "sign", "--folder", site)


def test_a_folder_without_a_site_says_how_to_make_one(tmp_path: Path) -> None:
    assert "plantops init" in refusal("up", "--folder", tmp_path / "none")
    assert "plantops init" in refusal("status", "--folder", tmp_path / "none")


def test_init_does_not_overwrite_a_site(site: Path) -> None:
    assert "a site already" in refusal("init", site)


def test_nothing_runs_says_how_to_start_it(site: Path) -> None:
    assert "plantops up" in refusal("tags", "--folder", site)


def test_a_person_without_keys_is_told_how_to_get_some(site: Path) -> None:
    line = refusal("tags", "--folder", site, "--as", "alcie")
    assert "did you mean 'alice'?" in line
    assert "plantops identity new alcie" in line
