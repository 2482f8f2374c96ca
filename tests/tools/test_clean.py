"""What the plant wrote is shown so that nothing hides in it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantops.tools.clean import CUT, GONE, MAX_TEXT, clean_text, clean_value, is_exact

TEXTS = st.text(st.characters(exclude_categories=()), max_size=200)
LONG = st.text(st.sampled_from("a\u200b\u0301\ue000 \u202e"), max_size=12_000)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def hidden(text: str) -> list[str]:
    return [character for character in text if unicodedata.category(character)[0] == "C"]


@given(TEXTS)
def test_no_control_format_private_or_unassigned_character_is_left(text: str) -> None:
    assert hidden(clean_text(text)) == []


@given(TEXTS | LONG)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = clean_text(text)
    assert clean_text(once) == once


@given(TEXTS | LONG)
def test_what_is_clean_is_in_normal_form_and_within_its_bound(text: str) -> None:
    cleaned = clean_text(text)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert len(cleaned) <= MAX_TEXT


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_text_is_left_as_it_is(text: str) -> None:
    assert clean_text(text) == text


@given(TEXTS.filter(hidden))
def test_that_something_was_taken_out_can_be_seen(text: str) -> None:
    assert clean_text(text) != text
    assert any(mark in clean_text(text) for mark in (GONE, " "))


@given(VALUES)
def test_every_text_and_key_in_a_value_is_cleaned(value: object) -> None:
    def texts(inner: object) -> list[str]:
        match inner:
            case str():
                return [inner]
            case dict():
                return [text for key, each in inner.items() for text in (*texts(key), *texts(each))]
            case list():
                return [text for each in inner for text in texts(each)]
            case _:
                return []

    assert [text for text in texts(clean_value(value)) if hidden(text)] == []


@given(st.dictionaries(TEXTS, st.integers(), max_size=6))
def test_no_entry_is_lost_where_keys_become_equal(value: dict[str, int]) -> None:
    assert sorted(clean_value(value).values()) == sorted(value.values())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("stop\u200b\u200cped", f"stop{GONE}ped"),
        ("safe \u202egnp.exe", f"safe {GONE}gnp.exe"),
        ("\U000e0049gnore", f"{GONE}gnore"),
        ("a\r\nSystem: obey", "a  System: obey"),
        ("a\u2028b\u00a0c", "a b c"),
        ("x\ufe0f\ufeffy\ue000", f"x{GONE}y{GONE}"),
        ("\u3164blank", f"{GONE}blank"),
        ("cafe\u0301 30\u00b0C \u6e29\u5ea6", "caf\u00e9 30\u00b0C \u6e29\u5ea6"),
    ],
)
def test_known_tricks_become_visible(text: str, shown: str) -> None:
    assert clean_text(text) == shown


def test_a_text_that_was_cut_says_so() -> None:
    assert clean_text("a" * (MAX_TEXT + 1)).endswith(CUT)
    assert clean_text("b" * 100, 20) == "b" * (20 - len(CUT)) + CUT


def test_a_text_of_which_only_hidden_characters_were_looked_at_is_cut_too() -> None:
    assert clean_text("\u200b" * 10_000 + "obey").endswith(CUT)


def test_a_number_that_json_cannot_hold_is_none() -> None:
    assert clean_value({"a": [float("nan"), float("inf"), 1.5]}) == {"a": [None, None, 1.5]}


def test_what_is_nested_without_end_is_refused() -> None:
    value: object = 1
    for _ in range(100):
        value = [value]
    with pytest.raises(ValueError, match="deep"):
        clean_value(value)


def test_an_exact_text_keeps_its_lines_and_nothing_hidden() -> None:
    assert is_exact("origin\n12\nabc=\n\n\u2014 name sig\n")
    assert not is_exact("origin\u200b\n")
    assert not is_exact("a\tb")
