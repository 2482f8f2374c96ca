"""Whoever may write the shell cannot write the policy: what is swapped there is refused, with a reason."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from basyx.aas import model
from basyx.aas.adapter.json import read_aas_json_file, write_aas_json_file

from plantops.cli.main import run
from plantops.deployment import policy_submodel
from plantops.deployment.initialise import initialise
from plantops.deployment.policies import (
    read_document,
    read_envelope,
    sign_policy,
    verify_envelope,
    write_policy,
)
from plantops.deployment.policy_submodel import read_submodel, write_submodel
from plantops.deployment.site import Site
from plantops.ledger import dsse
from plantops.ledger.keys import SigningKey
from plantops.policy.document import POLICY_TYPE, Policy, Principal, Role
from plantops.runtime.errors import MalformedEnvelope, SettingsError

MALLORY = SigningKey.generate()


class Shell:
    """A site, the shell that its policy hangs in, and what an attacker makes of it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.site: Site = initialise(folder / "demo").site
        self.path = folder / "shell.json"
        self._capsys = capsys
        self.first = read_envelope(self.site.folder)
        self.root = SigningKey.load(self.site.folder.root_key)

    def read(self, *words: str, code: int = 0) -> Any:
        where = ("--folder", str(self.site.folder.root), "--json", *words)
        ended = run(["policy", "submodel", "read", str(self.path), *where])
        told = self._capsys.readouterr()
        assert ended == code, told
        return json.loads(told.out) if code == 0 else told.err

    def revise(self, change: Callable[[Policy], Policy] = lambda policy: policy) -> Policy:
        """The document of the next revision, valid now."""
        document, _bytes = read_document(self.site.folder)
        standing = verify_envelope(self.site.folder, read_envelope(self.site.folder))
        revised = msgspec.structs.replace(
            document, revision=standing.policy.revision + 1, previous=standing.digest
        )
        return change(revised)

    def seal(self, policy: Policy, *keys: SigningKey) -> bytes:
        return dsse.encode(dsse.seal(POLICY_TYPE, msgspec.json.encode(policy), *(keys or (self.root,))))

    def hang(self, envelope: bytes) -> None:
        write_submodel(self.path, envelope, self.site.name)

    def alter(self, change: Callable[[model.Submodel], None]) -> None:
        """Write the shell anew with another submodel, as anybody with rights on the twin could."""
        with self.path.open("rb") as file:
            objects = list(read_aas_json_file(file, failsafe=False))
        for each in objects:
            if isinstance(each, model.Submodel):
                change(each)
        store: Any = model.DictIdentifiableStore(objects)
        write_aas_json_file(str(self.path), store)


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


def everybody(policy: Policy) -> Policy:
    """What an attacker would like: a right for himself."""
    mallory = Principal(kind="person", person="Mallory", roles=("king",), keys=(MALLORY.public.to_base64(),))
    return msgspec.structs.replace(
        policy,
        principals={**policy.principals, "mallory": mallory},
        roles={**policy.roles, "king": Role(operations=("*.*",))},
        permissives=(),
    )


def text(name: str, value: str) -> model.Property:
    return model.Property(name, value_type=model.datatypes.String, value=value)


def test_a_newer_policy_comes_through_the_twin_by_its_own_signatures(shell: Shell) -> None:
    shell.hang(shell.seal(shell.revise()))
    assert shell.read()["taken"] is False
    assert read_envelope(shell.site.folder) == shell.first
    assert shell.read("--take")["revision"] == 2
    assert verify_envelope(shell.site.folder, read_envelope(shell.site.folder)).policy.revision == 2


@pytest.mark.parametrize("form", ["json", "xml", "aasx"])
def test_the_envelope_comes_back_to_the_byte_in_every_form(shell: Shell, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"shell.{form}"
    write_submodel(path, shell.first, "demo")
    found = read_submodel(path)
    assert (found.envelope, found.ignored) == (shell.first, ())


def test_policy_key_and_signature_swapped_together_count_for_nothing(shell: Shell) -> None:
    """B1, W18: the key beside the policy made its signature valid there."""
    shell.hang(shell.seal(everybody(shell.revise()), MALLORY))
    shell.alter(
        lambda submodel: submodel.submodel_element.add(text("PolicyPublicKeyPem", MALLORY.public.to_base64()))
    )
    told = shell.read("--take", code=1)
    assert f"is signed by {MALLORY.keyid}, none is trusted here" in told
    assert "whatever keys the shell names" in told
    assert read_envelope(shell.site.folder) == shell.first


def test_keys_beside_a_good_policy_are_not_even_looked_at(shell: Shell) -> None:
    shell.hang(shell.seal(shell.revise()))
    shell.alter(lambda submodel: submodel.submodel_element.add(text("PolicyPublicKeyPem", "anything")))
    shell.alter(lambda submodel: submodel.submodel_element.add(text("PolicySignature", "anything")))
    assert shell.read()["ignored"] == ["PolicyPublicKeyPem", "PolicySignature"]


def test_a_removed_policy_is_a_refusal_and_never_a_default(shell: Shell) -> None:
    """B3, W20: without the submodel everybody could do everything."""
    shell.hang(shell.first)
    whole = json.loads(shell.path.read_bytes())
    shell.path.write_text(json.dumps({**whole, "submodels": []}))
    assert "a missing policy allows nothing" in shell.read("--take", code=1)
    shell.hang(shell.first)
    shell.alter(lambda submodel: submodel.submodel_element.clear())
    assert "no text property PolicyEnvelope" in shell.read("--take", code=1)
    shell.path.write_text("{}")
    assert "a missing policy" in shell.read("--take", code=1)
    assert read_envelope(shell.site.folder) == shell.first


def test_two_policies_are_none(shell: Shell) -> None:
    shell.hang(shell.first)
    whole = json.loads(shell.path.read_bytes())
    second = {**whole["submodels"][0], "id": "urn:plantops:policy:other"}
    shell.path.write_text(json.dumps({**whole, "submodels": [*whole["submodels"], second]}))
    assert "2 policy submodels" in shell.read("--take", code=1)


def test_an_unsigned_policy_is_refused_however_often_it_is_offered(shell: Shell) -> None:
    """W19: the second call took it from a cache."""
    payload = msgspec.json.encode(everybody(shell.revise()))
    for _ in range(3):
        shell.hang(shell.first)
        shell.alter(
            lambda submodel: setattr(submodel.get_referable("PolicyEnvelope"), "value", payload.decode())
        )
        assert "not believed" in shell.read("--take", code=1)
    assert read_envelope(shell.site.folder) == shell.first


def test_stripped_and_swapped_signatures_are_refused(shell: Shell) -> None:
    good = dsse.decode(shell.seal(shell.revise()))
    evil = dsse.decode(shell.seal(everybody(shell.revise()), MALLORY))
    for forged, why in (
        (msgspec.structs.replace(good, signatures=()), "no signature"),
        (msgspec.structs.replace(evil, signatures=good.signatures), "does not fit"),
        (msgspec.structs.replace(good, payloadType="application/json"), "was expected"),
    ):
        shell.hang(dsse.encode(forged))
        assert why in shell.read("--take", code=1)


def test_an_older_revision_is_refused(shell: Shell) -> None:
    """B2, W21: the policy had no number."""
    newer = shell.revise()
    write_policy(shell.site.folder, newer)
    sign_policy(shell.site.folder, [shell.root])
    shell.hang(shell.first)
    assert "revision 1 is older than revision 2 in force" in shell.read("--take", code=1)


def test_another_text_under_the_same_number_is_refused(shell: Shell) -> None:
    shell.hang(shell.seal(msgspec.structs.replace(read_document(shell.site.folder)[0], moc="other")))
    assert "another document than the revision 1" in shell.read("--take", code=1)


def test_the_policy_of_another_site_is_refused_also_when_the_same_people_signed_it(shell: Shell) -> None:
    shell.hang(shell.seal(shell.revise(lambda policy: msgspec.structs.replace(policy, audience="works"))))
    assert "is meant for site 'works', not 'demo'" in shell.read("--take", code=1)


def test_an_expired_policy_is_refused(shell: Shell) -> None:
    """A frozen twin serves an old policy for ever."""
    past = datetime.now(UTC) - timedelta(days=2)
    stale = shell.revise(
        lambda policy: msgspec.structs.replace(policy, not_before=past, expires=past + timedelta(days=1))
    )
    shell.hang(shell.seal(stale))
    assert "expired at" in shell.read("--take", code=1)


def test_a_file_that_is_no_shell_is_told_in_one_line(shell: Shell, tmp_path: Path) -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'
    for name, data in (
        ("a.json", "[]"),
        ("b.json", "{"),
        ("c.xml", "<x/>"),
        ("d.xml", bomb),
        ("e.aasx", "PK"),
        ("f.json", '{"submodels":[{"modelType":"Submodel"}]}'),
        ("g.txt", ""),
    ):
        shell.path = tmp_path / name
        shell.path.write_text(data)
        (line,) = shell.read(code=1).splitlines()
        assert line.startswith("error: "), line
        assert "unexpected" not in line, line
    with pytest.raises(SettingsError, match="cannot read"):
        read_submodel(tmp_path / "none.json")


def test_a_package_that_unpacks_to_too_much_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.aasx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("zeros", b"0" * 100_000)
    monkeypatch.setattr(policy_submodel, "MAX_BYTES", 50_000)
    with pytest.raises(SettingsError, match="unpacks to more"):
        read_submodel(path)


def test_only_an_envelope_is_written(tmp_path: Path) -> None:
    with pytest.raises(MalformedEnvelope):
        write_submodel(tmp_path / "x.json", b"{}", "demo")
    assert not (tmp_path / "x.json").exists()
