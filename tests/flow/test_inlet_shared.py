"""Runs of one fold share a consumer: what another one has delivered from elsewhere is noticed."""

from __future__ import annotations

from plantops.flow.bus import Stored
from plantops.flow.inlet import Inlet
from plantops.flow.processor import Reads


class Shared:
    """A consumer with ten messages waiting, whose next delivery another run may have moved."""

    def __init__(self) -> None:
        self.resets: list[int] = []

    async def reset(self, sequence: int) -> int:
        self.resets.append(sequence)
        return 11 - sequence


def delivered(sequence: int, *, delivery: int) -> Stored:
    return Stored("SOURCES", sequence, "source.demo.a.up", b"", 1, {}, delivery, 10 - sequence, "ack")


async def rewound() -> Inlet:
    inlet = Inlet("counter", Reads("SOURCES", ("source.>",)))
    inlet._reader = Shared()  # type: ignore[assignment]
    await inlet.rewind()
    return inlet


async def test_a_first_delivery_that_another_run_has_moved_on_is_not_folded() -> None:
    inlet = await rewound()
    assert inlet.accept([delivered(5, delivery=1), delivered(6, delivery=2)]) == []
    assert inlet.is_adrift, "1 to 4 were skipped"


async def test_what_follows_the_own_place_is_folded() -> None:
    inlet = await rewound()
    assert [each.sequence for each in inlet.accept([delivered(1, delivery=1), delivered(2, delivery=2)])] == [
        1,
        2,
    ]
    assert not inlet.is_adrift
