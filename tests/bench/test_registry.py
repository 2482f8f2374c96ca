"""The benches are well-formed, and each gives sane figures under a tiny load. No speed is asserted."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from plantops.bench.__main__ import main
from plantops.bench.counting import Counting
from plantops.bench.figures import Bench, Load, figure, median, percentile
from plantops.bench.registry import BENCHES, benches
from plantops.bench.report import Report
from plantops.events.base import Digest, SiteName, SourceName, TagName
from plantops.events.frames import Frame, Samples
from plantops.events.tags import ScanGroup, SourceDefined, TagDefinition
from plantops.flow.processor import Recorded
from plantops.runtime.errors import SettingsError

TINY = Load(seconds=1.0, runs=1, size=0.01)
SOURCE = SourceName("bench")
DEFINITION = SourceDefined(
    site=SiteName("demo"),
    source=SOURCE,
    groups=(ScanGroup(name="all", period_ms=100),),
    tags=tuple(TagDefinition(name=TagName(f"bench.c{n}"), kind="u8") for n in range(3)),
)


def frame(sequence: int, *samples: tuple[int, int]) -> Recorded:
    index = np.array([position for position, _ in samples], "<u4")
    values = np.array([value for _, value in samples], "<u8")
    column = Samples("u8", index, values, 192, 0)
    fact = Frame(SOURCE, 1, sequence, 0, Digest("x"), DEFINITION, (), (column,), historical=False)
    return Recorded("TAGS", sequence, "tag.demo.bench", sequence, fact)


def counted(*history: Recorded, step: int = 1, modulus: int = 1 << 32) -> tuple[int, int, int]:
    core = Counting("demo", SOURCE, "reader", prefix="bench.", step=step, modulus=modulus)
    state = core.initial()
    for recorded in history:
        state = core.evolve(state, recorded)
    return state.totals.samples, state.totals.lost, state.totals.out_of_order


def test_names_are_unique_and_benches_are_found_by_them() -> None:
    names = [bench.name for bench in BENCHES]
    assert len(set(names)) == len(names)
    assert [bench.name for bench in benches(names[1:2])] == names[1:2]
    assert benches([]) == tuple(bench for bench in BENCHES if not bench.more_seconds)
    with pytest.raises(SettingsError, match="no bench 'nothing'"):
        benches(["nothing"])


def test_every_counter_that_rises_by_one_step_is_whole() -> None:
    assert counted(frame(1, (0, 5), (1, 9)), frame(2, (0, 6), (1, 10))) == (4, 0, 0)
    assert counted(frame(1, (0, 65530)), frame(2, (0, 24)), step=30, modulus=1 << 16) == (2, 0, 0)
    assert counted(frame(1, (0, 1), (0, 2), (0, 3))) == (3, 0, 0)


def test_a_hole_a_repetition_and_a_swap_are_counted() -> None:
    assert counted(frame(1, (0, 5)), frame(2, (0, 9))) == (2, 3, 0)
    assert counted(frame(1, (0, 5)), frame(2, (0, 5))) == (2, 0, 1)
    assert counted(frame(1, (0, 5), (0, 7), (0, 6))) == (3, 1, 1)
    assert counted(frame(1, (0, 30)), frame(2, (0, 75)), step=30) == (2, 0, 1)


def test_a_figure_says_median_ratio_and_whether_its_goal_is_met() -> None:
    ceiling = figure("c", "c", 10.0, "x/s")
    told = figure("f", "f", [3.0, 5.0, 4.0], "x/s", better="higher", goal=4.5, ceiling=ceiling)
    assert (told.value, told.ratio, told.met, told.spread) == (4.0, 0.4, False, 0.5)
    assert figure("f", "f", 4.0, "ms", better="lower", goal=4.0).met is True
    assert median([1.0, 2.0]) == 1.5
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0
    with pytest.raises(SettingsError, match="no finite value"):
        figure("f", "f", math.nan, "ms")


def test_the_report_of_a_run_holds_machine_and_figures(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    assert main(["--only", "decisions", "--runs", "1", "--seconds", "0.1", "--json", str(path)]) == 0
    report = msgspec.json.decode(path.read_bytes(), type=Report)
    assert report.machine.cores >= 1
    assert report.machine.fsync_p99_ms >= report.machine.fsync_p50_ms > 0
    assert {each.name.partition(".")[0] for each in report.figures} == {"decisions"}
    assert main(["--only", "nothing", "--json", str(path)]) == 2


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.name)
async def test_each_bench_gives_sane_figures_under_a_tiny_load(bench: Bench) -> None:
    steps: list[str] = []
    figures = await bench.run(TINY, steps.append)
    names = [each.name for each in figures]
    assert steps
    assert len(set(names)) == len(names)
    for each in figures:
        assert each.name.startswith((f"{bench.name}.", "ceiling."))
        assert each.title
        assert each.unit
        assert math.isfinite(each.value)
        assert each.value >= 0
        if each.name.endswith((".lost", ".out_of_order")):
            assert each.value == 0
    assert any(each.value > 0 for each in figures)
