"""Three-valued logic: what is not known never allows, and losing information never turns a no into a yes."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantops.events.base import TagName
from plantops.events.command_parts import ObservedInput, Truth
from plantops.policy.conditions import Sight, equals, evaluate
from plantops.policy.document import Compare, Condition, Either, Every, Negate
from support.plant_samples import PLANT, seen

MAX_AGE = 5.0
HOT = Compare(property="pump.temperature", op=">", value=95)
COOL = Compare(property="pump.temperature", op="<=", value=95)
REMOTE = Compare(property="pump.remote", op="==", value=True)
NEVER = Every(of=())


def truth(condition: Condition, *inputs: ObservedInput) -> Truth:
    return evaluate(condition, sight(*inputs))[0]


def sight(*inputs: ObservedInput) -> Sight:
    return Sight(PLANT, {one.tag: one for one in inputs}, MAX_AGE)


def compare(op: str, value: object, **changed: object) -> Compare:
    return msgspec.structs.replace(COOL, op=op, value=value, **changed)


@pytest.mark.parametrize(
    ("op", "value", "expected"),
    [
        ("<", 96, "false"), ("<", 97, "true"), ("<=", 96, "true"), ("<=", 95.9, "false"),
        (">", 95, "true"), (">", 96, "false"), (">=", 96, "true"), (">=", 96.1, "false"),
        ("==", 96, "true"), ("==", 95, "false"), ("!=", 95, "true"), ("!=", 96, "false"),
    ],
)  # fmt: skip
def test_compares_numbers(op: str, value: float, expected: str) -> None:
    assert truth(compare(op, value), seen("temperature", 96.0)) == expected
    assert truth(compare(op, value), seen("temperature", 96)) == expected


@pytest.mark.parametrize(
    "condition",
    [
        compare("~", 95),
        compare("<=", "95"),
        compare("<=", True),
        compare("==", True),
        compare("<=", math.nan),
        compare("!=", math.nan),
        compare("<=", math.inf),
        compare("<=", 95, unit="K"),
        compare("<=", 95, max_age_seconds=0.1),
        compare("<=", 95, max_age_seconds=math.nan),
        compare("<=", 95, max_age_seconds=-1.0),
        compare("<=", 95, property="pump.nothing"),
        compare("<=", 95, property="temperature"),
        compare("<=", 95, quality="any"),
        NEVER,
        Either(of=()),
    ],
)
def test_a_condition_that_cannot_be_judged_is_unknown_and_its_negation_too(condition: Condition) -> None:
    good = seen("temperature", 60.0)
    assert truth(condition, good) == "unknown"
    assert truth(Negate(of=condition), good) == "unknown"


@pytest.mark.parametrize(
    "bad",
    [
        seen("temperature", None),
        seen("temperature", math.nan),
        seen("temperature", -math.inf),
        seen("temperature", "60"),
        seen("temperature", False),
        seen("temperature", 60.0, quality=0),
        seen("temperature", 60.0, quality=20),
        seen("temperature", 60.0, quality=64),
        seen("temperature", 60.0, quality=128),
        seen("temperature", 60.0, quality=216),
        seen("temperature", 60.0, quality=448),
        seen("temperature", 60.0, age=None),
        seen("temperature", 60.0, age=5.001),
        seen("temperature", 60.0, age=-0.001),
        seen("temperature", 60.0, age=math.nan),
        seen("level", 60.0),
    ],
)
def test_an_input_that_cannot_be_used_is_unknown_either_way(bad: ObservedInput) -> None:
    assert (truth(COOL, seen("temperature", 60.0)), truth(HOT, seen("temperature", 60.0))) == (
        "true",
        "false",
    )
    assert truth(COOL, bad) == "unknown"
    assert truth(HOT, bad) == "unknown"


def test_uncertain_passes_only_where_it_is_asked_for_and_an_override_never() -> None:
    relaxed = compare("<=", 95, quality="uncertain")
    assert truth(relaxed, seen("temperature", 60.0, quality=84)) == "true"
    assert truth(relaxed, seen("temperature", 60.0, quality=0)) == "unknown"
    assert truth(relaxed, seen("temperature", 60.0, quality=216)) == "unknown"


def test_texts_and_switches_are_only_equal_or_not() -> None:
    recipe = compare("==", "ale", property="pump.recipe")
    assert truth(recipe, seen("recipe", "ale")) == "true"
    assert truth(recipe, seen("recipe", "Ale")) == "false"
    assert truth(msgspec.structs.replace(recipe, op="<"), seen("recipe", "ale")) == "unknown"
    assert truth(REMOTE, seen("remote", True)) == "true"
    assert truth(REMOTE, seen("remote", 1)) == "unknown"
    assert truth(msgspec.structs.replace(REMOTE, op=">="), seen("remote", True)) == "unknown"
    assert equals(1, 1.0) == "true"
    assert equals(1, True) == "unknown"
    assert equals(math.nan, math.nan) == "unknown"


KLEENE: dict[str, Condition] = {"true": COOL, "false": HOT, "unknown": NEVER}


@pytest.mark.parametrize("left", KLEENE)
@pytest.mark.parametrize("right", KLEENE)
def test_joins_as_kleene_does(left: str, right: str) -> None:
    rank = ["false", "unknown", "true"]
    parts = (KLEENE[left], KLEENE[right])
    worse, better = sorted((left, right), key=rank.index)
    assert truth(Every(of=parts), seen("temperature", 60.0)) == worse
    assert truth(Either(of=parts), seen("temperature", 60.0)) == better


def test_says_what_is_and_what_must_be() -> None:
    hot = sight(seen("temperature", 96.0), seen("remote", False))
    assert evaluate(COOL, hot)[1] == "pump.temperature is 96.0 Cel, must be <= 95"
    assert evaluate(Every(of=(COOL, Negate(of=REMOTE))), hot)[1] == (
        "(pump.temperature is 96.0 Cel, must be <= 95 and not (pump.remote is false, must be == true))"
    )
    late = sight(seen("temperature", 60.0, age=9))
    assert evaluate(COOL, late)[1] == (
        "pump.temperature was confirmed 9 s ago, at most 5 s are allowed, must be <= 95"
    )


LEAVES = st.builds(
    Compare,
    property=st.sampled_from(["pump.temperature", "pump.remote", "pump.level", "pump.recipe", "pump.gone"]),
    op=st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    value=st.sampled_from([0, 1, 95, 95.5, True, False, "ale", math.nan]),
    unit=st.sampled_from(["", "Cel", "K"]),
    quality=st.sampled_from(["good", "uncertain"]),
)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Negate, of=inner),
        st.builds(Every, of=st.lists(inner, max_size=3).map(tuple)),
        st.builds(Either, of=st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)
GOOD_INPUTS = st.tuples(
    st.sampled_from([0.0, 1.0, 95.0, 95.5, 200.0]).map(lambda value: seen("temperature", value)),
    st.booleans().map(lambda value: seen("remote", value)),
    st.sampled_from([0, 1, 95]).map(lambda value: seen("level", value)),
    st.sampled_from(["ale", "stout"]).map(lambda value: seen("recipe", value)),
)


def worse(one: ObservedInput, how: str) -> ObservedInput | None:
    spoilt: dict[str, dict[str, object]] = {
        "as it was": {},
        "no value": {"value": None},
        "not a number": {"value": math.nan},
        "bad": {"quality": 24},
        "override": {"quality": 216},
        "stale": {"age_seconds": 1000.0},
        "never confirmed": {"age_seconds": None},
    }
    return None if how == "missing" else msgspec.structs.replace(one, **spoilt[how])


HOW = st.sampled_from(
    ["as it was", "missing", "no value", "not a number", "bad", "override", "stale", "never confirmed"]
)


@given(condition=CONDITIONS, inputs=GOOD_INPUTS, hows=st.tuples(HOW, HOW, HOW, HOW))
def test_losing_information_never_changes_a_verdict_into_another(
    condition: Condition, inputs: tuple[ObservedInput, ...], hows: tuple[str, ...]
) -> None:
    before = truth(condition, *inputs)
    spoilt = [found for one, how in zip(inputs, hows, strict=True) if (found := worse(one, how)) is not None]
    after = truth(condition, *spoilt)
    assert after in (before, "unknown")
    assert not (before != "true" and after == "true")


@given(condition=CONDITIONS)
def test_nothing_is_true_of_a_plant_that_nobody_saw(condition: Condition) -> None:
    assert truth(condition) == "unknown"


def test_an_unknown_kind_of_condition_is_unknown() -> None:
    class Riddle(msgspec.Struct):
        tag = TagName("x")

    assert evaluate(Riddle(), sight())[0] == "unknown"  # type: ignore[arg-type]  # what no version knows
