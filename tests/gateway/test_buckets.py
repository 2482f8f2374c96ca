"""Token buckets in a shared table: exact, shared, and never cheaper for who uses many names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantops.gateway.buckets import WAYS, Buckets
from plantops.gateway.limits import network_of
from plantops.gateway.settings import RateSettings


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def buckets(tmp_path: Path, clock: Clock) -> Iterator[Buckets]:
    with Buckets.open(tmp_path / "t", RateSettings(per_minute=60, burst=3), clock=clock) as made:
        yield made


def test_the_burst_is_taken_at_once_and_then_one_by_one(buckets: Buckets, clock: Clock) -> None:
    assert [buckets.take("alice") for _number in range(3)] == [0.0, 0.0, 0.0]
    assert buckets.take("alice") == pytest.approx(1.0)
    clock.now += 0.5
    assert buckets.take("alice") == pytest.approx(0.5)
    clock.now += 0.5
    assert buckets.take("alice") == 0.0
    assert buckets.take("alice") > 0.0
    clock.now += 1000.0
    assert [buckets.take("alice") > 0 for _number in range(4)] == [False, False, False, True]


def test_a_refused_request_costs_nothing_and_so_does_looking(buckets: Buckets, clock: Clock) -> None:
    for _number in range(100):
        buckets.take("alice")
    clock.now += 1.0
    assert buckets.look("alice") == 0.0
    assert buckets.look("alice") == 0.0
    assert buckets.take("alice") == 0.0
    assert buckets.look("alice") > 0.0


def test_each_name_has_its_own(buckets: Buckets) -> None:
    for _number in range(3):
        buckets.take("alice")
    assert buckets.take("alice") > 0
    assert buckets.take("bob") == 0.0


def test_two_workers_count_together(tmp_path: Path, clock: Clock) -> None:
    rate = RateSettings(per_minute=60, burst=4)
    with (
        Buckets.open(tmp_path / "t", rate, clock=clock) as one,
        Buckets.open(tmp_path / "t", rate, clock=clock) as two,
    ):
        taken = [table.take("alice") for table in (one, two, one, two, one, two)]
    assert [each == 0.0 for each in taken] == [True, True, True, True, False, False]


def test_processes_count_together_exactly(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from plantops.gateway.buckets import Buckets\n"
        "from plantops.gateway.settings import RateSettings\n"
        "table = Buckets.open(pathlib.Path(sys.argv[1]), RateSettings(per_minute=1, burst=500))\n"
        "print(sum(table.take('alice') == 0.0 for _ in range(400)))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "t")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _number in range(3)]
    taken = [int(process.communicate(timeout=100)[0]) for process in running]
    assert sum(taken) in (500, 501)  # a token may have come back meanwhile
    assert all(count > 0 for count in taken) or max(taken) == 400


def test_a_flood_of_names_shares_what_is_left_instead_of_pushing_others_out(
    tmp_path: Path, clock: Clock
) -> None:
    rate = RateSettings(per_minute=60, burst=2)
    with Buckets.open(tmp_path / "t", rate, sets=1, clock=clock) as table:
        allowed = sum(table.take(f"name{number}") == 0.0 for number in range(1000))
        assert allowed <= WAYS * 2
        clock.now += 10.0
        assert table.take("alice") == 0.0


def test_a_clock_that_began_anew_owes_no_more_than_the_burst(tmp_path: Path, clock: Clock) -> None:
    rate = RateSettings(per_minute=60, burst=3)
    with Buckets.open(tmp_path / "t", rate, clock=clock) as table:
        for _number in range(3):
            table.take("alice")
        clock.now = 1.0
        assert 0.0 < table.take("alice") <= 1.0 + 1e-6
        clock.now = 2.1
        assert table.look("alice") > 0.0 or table.take("alice") == 0.0


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 3)), max_size=60))
def test_no_more_is_ever_taken_than_the_rate_and_the_burst_allow(steps: list[tuple[float, int]]) -> None:
    import tempfile  # noqa: PLC0415

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        rate = RateSettings(per_minute=60, burst=5)
        with Buckets.open(Path(folder) / "t", rate, clock=clock) as table:
            began, taken = clock.now, 0
            for seconds, count in steps:
                clock.now += seconds
                taken += sum(table.take("alice") == 0.0 for _number in range(count))
                assert taken <= 5 + (clock.now - began) + 1e-3


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
    ],
)
def test_one_host_counts_as_one_peer(address: str, network: str) -> None:
    assert network_of(address) == network
