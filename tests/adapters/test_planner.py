from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantops.adapters.planner import Block, BlockPlanner, Patience, Span, split

PATIENCE = Patience(first=60.0, longest=200.0)


def planner(gap: int = 8, longest: int = 125) -> BlockPlanner:
    return BlockPlanner(gap=gap, longest=longest)


def spans(*places: tuple[int, int], area: str = "holding") -> list[Span]:
    return [Span(area, start, length, key) for key, (start, length) in enumerate(places)]


def extents(blocks: tuple[Block, ...]) -> list[tuple[int, int]]:
    return [(block.start, block.length) for block in blocks]


def test_neighbours_are_one_block() -> None:
    assert extents(planner().plan(spans((0, 1), (1, 2), (3, 4))).blocks) == [(0, 7)]


def test_a_gap_is_bridged_up_to_the_limit_and_not_beyond() -> None:
    assert extents(planner(gap=8).plan(spans((0, 1), (9, 1))).blocks) == [(0, 10)]
    assert extents(planner(gap=8).plan(spans((0, 1), (10, 1))).blocks) == [(0, 1), (10, 1)]


def test_areas_are_never_mixed() -> None:
    both = spans((0, 1)) + spans((1, 1), area="input")
    assert [block.area for block in planner().plan(both).blocks] == ["holding", "input"]


def test_a_value_is_never_cut_in_two() -> None:
    assert extents(planner(longest=5).plan(spans((0, 4), (4, 4))).blocks) == [(0, 4), (4, 4)]


def test_a_span_longer_than_a_block_is_an_error() -> None:
    with pytest.raises(ValueError, match="longer than a block"):
        planner(longest=5).plan(spans((0, 6)))


def test_overlapping_spans_share_a_block() -> None:
    assert extents(planner().plan(spans((0, 8), (2, 1), (6, 2), (8, 1))).blocks) == [(0, 9)]


def test_a_refused_block_is_halved_without_the_gap_between() -> None:
    (block,) = planner().plan(spans((0, 1), (5, 1), (12, 2))).blocks
    assert extents(split(block)) == [(0, 1), (5, 9)]


def test_a_refused_span_is_left_out_and_never_bridged() -> None:
    cells = spans((0, 1), (1, 1), (2, 1))
    blocks = planner()
    blocks.refuse(cells[1], 2, now=0.0, patience=PATIENCE)
    plan = blocks.plan(cells)
    assert extents(plan.blocks) == [(0, 1), (2, 1)]
    assert plan.refused == (cells[1],)
    assert blocks.code_of(cells[1]) == 2


def test_a_block_is_never_joined_across_a_cut_again() -> None:
    cells = spans((0, 1), (5, 1))
    blocks = planner()
    (whole,) = blocks.plan(cells).blocks
    blocks.cut(split(whole)[1])
    assert extents(blocks.plan(cells).blocks) == [(0, 1), (5, 1)]


def test_a_refused_span_is_tried_again_after_ever_longer_waits() -> None:
    (cell,) = spans((0, 1))
    blocks = planner()
    moments = [0.0]
    for _ in range(4):
        blocks.refuse(cell, 2, moments[-1], PATIENCE)
        assert blocks.due([cell], moments[-1] + 59.0) == []
        moments.append(next(t for t in range(10_000) if blocks.due([cell], float(t))))
    assert [late - early for early, late in pairwise(moments)] == [60, 120, 200, 200]


def test_few_refused_spans_are_tried_at_once_the_longest_waiting_first() -> None:
    cells = spans(*((place, 1) for place in range(20)))
    blocks = planner()
    for moment, cell in enumerate(reversed(cells)):
        blocks.refuse(cell, 2, float(moment), PATIENCE)
    assert blocks.due(cells, 1000.0) == list(reversed(cells[12:]))


def test_one_answered_trial_takes_back_what_was_refused_with_the_same_code() -> None:
    cells = spans((0, 1), (1, 1), (2, 1))
    blocks = planner()
    for cell, code in zip(cells, (4, 4, 2), strict=True):
        blocks.refuse(cell, code, 0.0, PATIENCE)
    version = blocks.version
    blocks.accept(cells[0])
    assert extents(blocks.plan(cells).blocks) == [(0, 2)]
    assert blocks.plan(cells).refused == (cells[2],)
    assert blocks.version > version


def test_the_version_tells_when_a_plan_is_stale() -> None:
    (cell,) = spans((0, 1))
    blocks = planner()
    before = blocks.version
    blocks.plan([cell])
    assert blocks.version == before
    blocks.refuse(cell, 2, 0.0, PATIENCE)
    assert blocks.version > before
    after = blocks.version
    blocks.refuse(cell, 2, 60.0, PATIENCE)
    assert blocks.version == after


PLACES = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 8)), max_size=40)


@given(PLACES, st.integers(0, 20), st.integers(8, 125), st.sets(st.integers(0, 39)))
def test_every_span_is_asked_exactly_once_within_the_limits(
    places: list[tuple[int, int]], gap: int, longest: int, refused: set[int]
) -> None:
    cells = spans(*places)
    blocks = planner(gap, longest)
    for number in refused & set(range(len(cells))):
        blocks.refuse(cells[number], 2, 0.0, PATIENCE)
    plan = blocks.plan(cells)
    asked = [span for block in plan.blocks for span in block.spans]
    assert sorted([*asked, *plan.refused]) == sorted(cells)
    for block in plan.blocks:
        assert block.length <= longest
        assert all(
            block.start <= span.start and span.end <= block.start + block.length for span in block.spans
        )


@given(PLACES.filter(lambda places: len(places) > 1), st.sets(st.integers(0, 310), max_size=5))
def test_splitting_finds_every_span_that_the_device_would_answer_alone(
    places: list[tuple[int, int]], holes: set[int]
) -> None:
    """A device that refuses whatever touches a hole; afterwards the plan needs no refusal at all."""
    cells = spans(*places)
    blocks = planner(gap=20)

    def answers(block: Block) -> bool:
        return not any(block.start <= hole < block.start + block.length for hole in holes)

    got: set[Span] = set()

    def fetch(block: Block) -> bool:
        if answers(block):
            got.update(block.spans)
            return True
        if len(block.spans) == 1:
            blocks.refuse(block.spans[0], 2, 0.0, PATIENCE)
            return False
        left, right = split(block)
        answered = fetch(left), fetch(right)
        if all(answered):
            blocks.cut(right)
        return False

    for _cycle in range(50):
        # Every block is asked, also after one that was refused.
        settled = [fetch(block) for block in blocks.plan(cells).blocks]
        if all(settled):
            break
    else:
        pytest.fail("the plan never settles")
    good = {cell for cell in cells if not holes & set(range(cell.start, cell.end))}
    assert got == good
    assert set(blocks.plan(cells).refused) == set(cells) - good
