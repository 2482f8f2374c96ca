"""What the environment says instead of the file: by exact names, read by the key's type, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from plantops.runtime.errors import SettingsError
from plantops.runtime.settings import load_toml
from plantops.runtime.variables import Variables


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    certificate: str
    key: str


class Gateway(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080
    is_open: bool = False
    wait: float | None = None
    tls: Tls | None = None
    kind: Literal["dn", "xfcc"] = "dn"
    file: Path = Path()


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    site: str
    gateway: Gateway = Gateway()
    sources: dict[str, str] = {}
    people: tuple[str, ...] = ()
    log_level: str = "info"


VARIABLES = Variables(
    Settings,
    short={"PLANTOPS_PORT": ("gateway", "port")},
    others=("PLANTOPS_GATEWAY_IMAGE",),
    fixed=("site",),
)


def load(folder: Path, environment: Mapping[str, str], more: str = "") -> Settings:
    path = folder / "site.toml"
    path.write_text(f'site = "demo"\n{more}')
    return load_toml(path, Settings, VARIABLES.given(environment))


RIGHT: list[tuple[str, str, object]] = [
    ("GATEWAY__PORT", "81", Settings("demo", gateway=Gateway(port=81))),
    ("PORT", "82", Settings("demo", gateway=Gateway(port=82))),
    ("GATEWAY__IS_OPEN", "true", Settings("demo", gateway=Gateway(is_open=True))),
    ("GATEWAY__WAIT", "1", Settings("demo", gateway=Gateway(wait=1.0))),
    ("GATEWAY__WAIT", "null", Settings("demo")),
    ("GATEWAY__KIND", "xfcc", Settings("demo", gateway=Gateway(kind="xfcc"))),
    ("GATEWAY__FILE", "/a b", Settings("demo", gateway=Gateway(file=Path("/a b")))),
    ("GATEWAY", '{"port":1}', Settings("demo", gateway=Gateway(port=1))),
    ("SOURCES", '{"a":"b"}', Settings("demo", sources={"a": "b"})),
    ("PEOPLE", '["a"]', Settings("demo", people=("a",))),
    ("LOG_LEVEL", "8", Settings("demo", log_level="8")),
    ("GATEWAY__PORT", "", Settings("demo")),
    ("GATEWAY_IMAGE", "x", Settings("demo")),
    ("PASSWORD_OF_A_DEVICE", "x", Settings("demo")),
    ("SITE", "other", Settings("demo")),
]


@pytest.mark.parametrize(("name", "text", "wanted"), RIGHT)
def test_a_value_is_read_by_the_type_of_its_key(
    tmp_path: Path, name: str, text: str, wanted: Settings
) -> None:
    assert load(tmp_path, {f"PLANTOPS_{name}": text}) == wanted


WRONG = [
    ("GATEWAY__PORT", "x", "gateway.port is the text 'x', wanted a whole number"),
    ("GATEWAY__PORT", '"1"', "gateway.port is the text '1', wanted a whole number"),
    ("PORT", "70000", "environment PLANTOPS_PORT: gateway.port is 70000"),
    ("GATEWAY__IS_OPEN", "True", "wanted true or false"),
    ("GATEWAY__KIND", "dm", "wanted one of 'dn', 'xfcc'"),
    ("SOURCES", '{"a": 1}', "environment PLANTOPS_SOURCES: sources.a is 1, wanted a text"),
    ("SOURCES", "{", "PLANTOPS_SOURCES is no JSON"),
    ("GATEWAY", '{"prot": 1}', "gateway.prot is no setting here: did you mean 'port'?"),
    ("GATEWAY__TLS__KEY", "a", "PLANTOPS_GATEWAY__TLS__KEY: gateway.tls needs the key 'certificate'"),
    ("GATEWAY__PROT", "1", "did you mean PLANTOPS_GATEWAY__PORT?"),
    ("GATEWAY_PORT", "1", "did you mean PLANTOPS_GATEWAY__PORT?"),
    ("GTEWAY_PORT", "1", "did you mean PLANTOPS_GATEWAY__PORT?"),
    ("LOGLEVEL", "debug", "did you mean PLANTOPS_LOG_LEVEL?"),
    ("SOURCES__PLC1", "a", "did you mean PLANTOPS_SOURCES?"),
    ("ELSE__KEY", "a", "no setting"),
]


@pytest.mark.parametrize(("name", "text", "told"), WRONG)
def test_what_is_wrong_is_told_with_the_variable(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, {f"PLANTOPS_{name}": text})
    assert told in refused.value.message
    assert f"environment PLANTOPS_{name}" in refused.value.message


def test_a_broken_table_is_not_repeated_in_the_message(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, {"PLANTOPS_SOURCES": '{"a": "hunter2"'})
    assert "hunter2" not in refused.value.message


def test_the_environment_is_stronger_than_the_file_and_a_key_than_its_table(tmp_path: Path) -> None:
    file = '[gateway]\nport = 1\nis_open = true\nkind = "xfcc"\n'
    assert load(tmp_path, {"PLANTOPS_GATEWAY__PORT": "2"}, file).gateway == Gateway(2, True, kind="xfcc")
    both = {"PLANTOPS_GATEWAY__PORT": "3", "PLANTOPS_GATEWAY": '{"wait":5}'}
    assert load(tmp_path, both, file).gateway == Gateway(3, wait=5.0)
    tls = {"PLANTOPS_GATEWAY__TLS__CERTIFICATE": "a", "PLANTOPS_GATEWAY__TLS__KEY": "b"}
    assert load(tmp_path, tls, file).gateway.tls == Tls("a", "b")


def test_a_mistake_of_the_file_is_still_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"site.toml:3: gateway.wait is the text"):
        load(tmp_path, {"PLANTOPS_GATEWAY__PORT": "2"}, '[gateway]\nwait = "a"\n')
    with pytest.raises(SettingsError, match=r"site.toml:2: gateway is 5, wanted"):
        load(tmp_path, {"PLANTOPS_GATEWAY__PORT": "2"}, "gateway = 5\n")


def test_two_names_of_one_setting_are_not_both_taken(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PLANTOPS_PORT and PLANTOPS_GATEWAY__PORT are names of one"):
        load(tmp_path, {"PLANTOPS_PORT": "1", "PLANTOPS_GATEWAY__PORT": "1"})
