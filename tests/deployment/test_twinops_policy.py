"""A TwinOps policy becomes one of ours: never looser, and what has no place is told."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plantops.cli.main import run
from plantops.deployment.initialise import initialise
from plantops.deployment.new_policy import skeleton
from plantops.deployment.site import Site
from plantops.deployment.twinops_policy import Imported, import_twinops
from plantops.policy import rights
from plantops.policy.document import Compare, Policy, Principal, Vector, VectorInput
from plantops.policy.soundness import problems
from plantops.policy.vectors import assumed, run_vectors
from plantops.runtime.errors import SettingsError

HOT = "urn:sm:operational#MotorTemperature"
BOUND = {HOT: "pump-001.motor_temperature", "urn:sm:operational#Running": "pump-001.running"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return initialise(tmp_path_factory.mktemp("site") / "demo").site


@pytest.fixture(scope="module")
def base(site: Site) -> Policy:
    return skeleton(site, datetime.now(UTC))


def interlock(
    op: str = ">", value: Any = 95.0, path: str = "MotorTemperature", **more: Any
) -> dict[str, Any]:
    deny_when = {"submodel": "urn:sm:operational", "path": path, "op": op, "value": value}
    return {"id": "hot", "deny_when": deny_when, "message": "too hot", **more}


def carried(site: Site, base: Policy, **source: Any) -> Imported:
    imported = import_twinops(msgspec.json.encode(source), base, site.plant, BOUND)
    assert problems(imported.policy) == []
    return imported


def is_told(imported: Imported, words: str) -> bool:
    return any(words in line for line in imported.told)


WHOLE: dict[str, Any] = {
    "require_simulation_for_risk": "HIGH",
    "require_approval_for_risk": "CRITICAL",
    "role_bindings": {"operator": {"allow": ["SetSpeed", "StartPump"]}, "maintenance": {"allow": ["*"]}},
    "interlocks": [interlock()],
    "approval_roles": "maintenance",
    "task_submodel_id": "urn:tasks",
}


def judged(site: Site, policy: Policy, celsius: VectorInput | None, actor: str = "alice") -> tuple[bool, str]:
    """Whether StartPump is let through, and the first rule against it."""
    alice = Principal(kind="person", person="Alice", roles=("maintenance",))
    inputs = {
        "pump-001.plc_running": VectorInput(value=True),
        "pump-001.local_mode": VectorInput(value=False),
        "pump-001.maintenance": VectorInput(value=False),
    }
    if celsius is not None:
        inputs["pump-001.motor_temperature"] = celsius
    vector = Vector(
        id="v", asset="pump-001", operation="StartPump", actor=actor, expect="allow", inputs=inputs
    )
    whole = msgspec.structs.replace(policy, principals={**policy.principals, "alice": alice})
    (result,) = run_vectors(assumed(whole, site.plant), site.plant, (vector,))
    return result.allowed, result.rule


def test_an_interlock_becomes_a_condition_that_must_be_known_to_hold(site: Site, base: Policy) -> None:
    policy = carried(site, base, **WHOLE).policy
    (permissive,) = policy.permissives
    assert permissive.require == Compare(property="pump-001.motor_temperature", op="<=", value=95.0)
    assert judged(site, policy, VectorInput(value=95.0)) == (True, "")
    for seen in (
        VectorInput(value=96.0),
        VectorInput(value=None),
        VectorInput(value="96 degC"),
        VectorInput(value=60.0, quality=0),
        VectorInput(value=60.0, age_seconds=600.0),
        VectorInput(value=60.0, age_seconds=None),
        None,
    ):
        assert judged(site, policy, seen) == (False, "permissive:hot"), seen


@pytest.mark.parametrize(
    ("op", "value", "wanted"),
    [
        (">", 95, ("<=", 95.0)),
        ("<", "95", (">=", 95.0)),
        (">=", 95.5, ("<", 95.5)),
        ("<=", 0, (">", 0.0)),
        ("==", "95.0", ("!=", 95.0)),
        ("!=", 95, ("==", 95.0)),
    ],
)
def test_every_comparison_is_turned_round_and_numbers_are_numbers(
    site: Site, base: Policy, op: str, value: object, wanted: tuple[str, float]
) -> None:
    (permissive,) = carried(site, base, interlocks=[interlock(op, value)]).policy.permissives
    assert isinstance(permissive.require, Compare)
    assert (permissive.require.op, permissive.require.value) == wanted


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (interlock("=~"), "compares by '=~'"),
        (interlock(">", "hot"), "compares with 'hot'"),
        (interlock(">", True), "compares with True"),
        (interlock(">", {"x": 1}), "compares with"),
        (interlock(">", "NaN"), "compares with 'NaN'"),
        (interlock(path="Unknown"), "which no --bind names"),
        ({"id": "x"}, "has no deny_when"),
        ({**interlock(), "deny_when": {**interlock()["deny_when"], "and": 1}}, "says and"),
    ],
)
def test_an_interlock_that_cannot_be_carried_over_denies_and_is_told(
    site: Site, base: Policy, broken: dict[str, Any], why: str
) -> None:
    source = {**WHOLE, "interlocks": [broken]}
    imported = carried(site, base, **source)
    assert is_told(imported, why)
    allowed, rule = judged(site, imported.policy, VectorInput(value=20.0))
    assert (allowed, rule.partition(":")[0]) == (False, "permissive")


def test_roles_cover_what_they_allowed_and_no_act(site: Site, base: Policy) -> None:
    roles = carried(site, base, **WHOLE).policy.roles
    assert roles["operator"].operations == ("*.SetSpeed", "*.StartPump")
    assert roles["maintenance"].operations == ("*",)
    assert not rights.covers(roles["maintenance"].operations, rights.patterns_for("pump-001", "act-bypass"))
    imported = carried(site, base, role_bindings={"x": {"allow": ["act-bypass", "a.b", "Fly"], "deny": []}})
    assert imported.policy.roles["x"].operations == ("*.Fly",)
    for words in (
        "'act-bypass' can be no operation",
        "'a.b' can be no",
        "no asset of the model has 'Fly'",
        "'deny'",
    ):
        assert is_told(imported, words)


@pytest.mark.parametrize("bindings", [{}, None])
def test_empty_role_bindings_give_no_rights(site: Site, base: Policy, bindings: object) -> None:
    """W20: there they gave all of them."""
    imported = carried(site, base, **{**WHOLE, "role_bindings": bindings, "approval_roles": []})
    assert imported.policy.roles == {}
    assert is_told(imported, "here nobody may do anything")
    for asset, described in site.plant.model.assets.items():
        for operation in described.operations:
            matching = rights.patterns_for(asset, operation)
            assert not any(rights.may(imported.policy, name, matching) for name in imported.policy.principals)


def test_risk_levels_ask_for_simulation_and_approval(site: Site, base: Policy) -> None:
    rules = carried(site, base, **WHOLE).policy.operations
    assert rules["pump-001.ResetFault"].approval_roles == ("maintenance",)
    assert not rules["valve-001.SetPosition"].simulate
    lower = {**WHOLE, "require_simulation_for_risk": "MEDIUM", "require_approval_for_risk": "HIGH"}
    imported = carried(site, base, **lower)
    assert imported.policy.operations["valve-001.SetPosition"].simulate
    assert imported.policy.operations["pump-001.StartPump"].risk == "critical"
    assert is_told(imported, "pump-001.StartPump: risk high needed approval")
    odd = carried(site, base, require_simulation_for_risk="SEVERE")
    assert odd.policy.operations["valve-001.CloseValve"].simulate
    assert is_told(odd, "is no risk")
    assert is_told(carried(site, base, require_simulation_for_risk="CRITICAL"), "here it is from high")


def test_what_has_no_place_is_told(site: Site, base: Policy) -> None:
    imported = carried(site, base, **{**WHOLE, "new_rule": 1})
    for words in ("'task_submodel_id'", "'new_rule'", "people", "safe directions", "also a stop"):
        assert is_told(imported, words)
    assert is_told(carried(site, base), "nobody can approve")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"role_bindings":[1]}',
        b'{"role_bindings":{"a":{"allow":"SetSpeed"}}}',
        b'{"role_bindings":{"a":1}}',
        b'{"interlocks":{}}',
        b'{"interlocks":[1]}',
        b'{"approval_roles":[1]}',
    ],
)
def test_a_wrong_shape_is_refused(site: Site, base: Policy, data: bytes) -> None:
    with pytest.raises(SettingsError):
        import_twinops(data, base, site.plant, {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
RULE = st.fixed_dictionaries(
    {},
    optional={
        "submodel": st.just("urn:sm:operational") | JSON,
        "path": st.just("MotorTemperature") | JSON,
        "op": st.sampled_from(("<", ">", "==", "!=", "<=", ">=")) | JSON,
        "value": JSON,
    },
)
INTERLOCK = st.fixed_dictionaries({}, optional={"id": st.text(max_size=2) | JSON, "deny_when": RULE | JSON})
SOURCE = st.fixed_dictionaries(
    {},
    optional={
        "role_bindings": st.dictionaries(st.text(), st.fixed_dictionaries({"allow": st.lists(st.text())}))
        | JSON,
        "approval_roles": st.lists(st.text()) | JSON,
        "interlocks": st.lists(INTERLOCK | JSON, max_size=3) | JSON,
        "require_approval_for_risk": st.sampled_from(("LOW", "HIGH")) | JSON,
        "require_simulation_for_risk": JSON,
        "other": JSON,
    },
)


@settings(max_examples=300, deadline=None)
@given(source=SOURCE)
def test_whatever_stands_there_becomes_a_sound_document_or_is_refused(
    site: Site, base: Policy, source: dict[str, Any]
) -> None:
    try:
        imported = import_twinops(msgspec.json.encode(source), base, site.plant, BOUND)
    except SettingsError:
        return
    assert problems(imported.policy) == []
    wanted = len(source.get("interlocks") or ())
    assert len(imported.policy.permissives) == wanted, "none is dropped"


def test_a_binding_to_nowhere_is_refused(site: Site, base: Policy) -> None:
    with pytest.raises(SettingsError, match="which the model does not have"):
        import_twinops(b"{}", base, site.plant, {HOT: "pump-001.nothing"})


def test_the_command_writes_a_document_and_tells(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "twinops.json", tmp_path / "new.json"
    source.write_bytes(msgspec.json.encode(WHOLE))
    words = ["policy", "import-twinops", str(source), "-o", str(output), "--folder", str(site.folder.root)]
    assert run([*words, "--bind", f"{HOT}=pump-001.motor_temperature", "--json"]) == 0
    told = msgspec.json.decode(capsys.readouterr().out)
    assert told["revision"] == 2
    assert any("task_submodel_id" in line for line in told["told"])
    assert run(words) == 1
    assert "exists" in capsys.readouterr().err
    output.unlink()
    assert run([*words, "--bind", "nonsense"]) == 1
    assert "SUBMODEL#PATH" in capsys.readouterr().err
