"""However calls are taken ahead and whoever dies, no count is ever too low."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from plantops.events.base import PrincipalName
from plantops.events.conversation import BudgetCharged
from plantops.tools.account import MOST_KINDS, Hand, charged, identical, is_open, left
from support.gate_samples import SITE
from support.plant_samples import NOW

EMPTY = BudgetCharged(
    site=SITE,
    conversation="budget-tools-person-Alice",
    identity=PrincipalName("Alice"),
    budget="tools",
    since=NOW,
    at=NOW,
    calls=0,
)
# A process (0 to 2), which call it makes, and whether it dies afterwards.
STEPS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 90), st.booleans()), max_size=300)


@given(STEPS, st.integers(1, 7))
def test_neither_calls_nor_identical_ones_are_ever_counted_too_low(
    steps: list[tuple[int, int, bool]], block: int
) -> None:
    account, hands = EMPTY, [Hand(), Hand(), Hand()]
    made: Counter[str] = Counter()
    for process, kind, dies in steps:
        hand, digest = hands[process], f"d{kind}"
        if hand.left == 0:
            account = charged(account, hand, block, NOW)
            hand = hands[process] = Hand(left=block)
        hand.use(digest)
        made[digest] += 1
        assert account.calls >= made.total()
        assert identical(account, hand, digest) >= made[digest]
        assert len(account.identical) <= MOST_KINDS
        if dies:
            hands[process] = Hand()


def test_one_process_alone_counts_exactly() -> None:
    account, hand = charged(EMPTY, Hand(), 5, NOW), Hand(left=5)
    for made in range(1, 4):
        hand.use("d")
        assert identical(account, hand, "d") == made
        assert identical(account, hand, "other") == 0
    assert left(account, hand, 600) == 597


def test_what_a_dead_process_held_counts_as_any_call() -> None:
    account = charged(EMPTY, Hand(), 5, NOW)
    assert identical(account, Hand(), "whatever") == 5


def test_what_an_account_does_not_name_any_more_was_called_as_often_as_the_most_of_those() -> None:
    hand = Hand(used=Counter({f"d{kind:03}": 3 if kind == 90 else 2 for kind in range(100)}))
    account = charged(EMPTY, hand, 5, NOW)
    assert len(account.identical) == MOST_KINDS
    assert account.identical["d090"] == 3
    assert identical(account, Hand(left=5), "d099") == 2


def test_a_window_is_over_after_its_length_and_not_before() -> None:
    window = timedelta(seconds=120)
    assert is_open(EMPTY, NOW + timedelta(seconds=119), window)
    assert not is_open(EMPTY, NOW + window, window)
    assert is_open(EMPTY, NOW - timedelta(seconds=60), window)
    assert not is_open(EMPTY, NOW - timedelta(days=1), window)
