"""When groups are due."""

from plantops.adapters.host.schedule import BACKOFF_CAP_SECONDS, Schedule, backoff_seconds


def test_due_times_stay_on_the_grid_however_late_they_are_taken() -> None:
    schedule = Schedule([1.0], start=10.0)
    assert schedule.take(10.0) == (0,)
    assert schedule.take(11.4) == (0,)
    assert schedule.next == 12.0


def test_missed_times_are_skipped_without_a_burst() -> None:
    schedule = Schedule([0.1, 1.0], start=0.0)
    schedule.take(0.0)
    assert schedule.take(57.35) == (0, 1)
    assert schedule.take(57.35) == ()
    assert 57.35 < schedule.next <= 57.4 + 1e-9


def test_groups_due_at_the_same_time_come_together() -> None:
    schedule = Schedule([0.5, 1.0], start=0.0)
    taken = [schedule.take(now) for now in (0.0, 0.5, 1.0, 1.5)]
    assert taken == [(0, 1), (0,), (0, 1), (0,)]


def test_a_time_taken_is_never_due_again_at_the_same_moment() -> None:
    schedule = Schedule([0.1], start=0.3)
    now = 0.3
    for _tick in range(1000):
        assert schedule.take(now) == (0,)
        assert schedule.next > now
        now = schedule.next


def test_backoff_doubles_up_to_its_cap_and_is_spread() -> None:
    assert [backoff_seconds(n, 0.999999) for n in (0, 1, 2)] < [0.5, 1.0, 2.0]
    assert backoff_seconds(50, 0.999999) <= BACKOFF_CAP_SECONDS
    assert backoff_seconds(50, 0.0) == BACKOFF_CAP_SECONDS / 2
