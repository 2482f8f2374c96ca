"""The model in real time: one task, a fixed step, and callbacks for the protocol servers."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from plantops.runtime.errors import SettingsError
from plantops.simulation.process import settled, step
from plantops.simulation.state import (
    Command,
    Fault,
    Inputs,
    Parameters,
    State,
    with_command,
    with_fault,
    without_fault,
)

STEP_SECONDS = 0.05
# A process that was suspended longer than this does not run after the lost time.
MAX_BEHIND_SECONDS = 1.0
# Half an hour of a write every 50 ms.
MOST_WRITTEN = 36_000


@dataclass(frozen=True, slots=True)
class Written:
    """One write as the device saw it; `number` counts all writes from 1."""

    number: int
    name: Command
    value: float
    at: datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Plant:
    """One process model. Writes take effect at once; time passes only inside `async with` or by `advance`.

    Not thread-safe: everything happens in the event loop that runs it.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        parameters: Parameters | None = None,
        step_seconds: float = STEP_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.parameters = parameters or Parameters()
        self.state = State(noise=seed)
        self.inputs = Inputs()
        self.changed_at = now()
        self.writes = dict.fromkeys(Command, 0)
        """How often each command word was written, whether or not the PLC then ignored it."""
        self.written: deque[Written] = deque(maxlen=MOST_WRITTEN)
        """The newest writes, in order: what a test holds against what is said about them."""
        self._step_seconds = step_seconds
        self._clock = clock
        self._sleep = sleep
        self._now = now
        self._callbacks: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call `callback` after every step, write, and told fault; not while the plant is frozen."""
        self._callbacks.append(callback)

    def command(self, name: Command, value: float) -> None:
        """Write one command word; where the PLC ignores it (local mode), the old value stays.

        Raises: WriteRejected when the value is out of range.
        """
        self.inputs = with_command(self.inputs, name, value)
        self.writes[name] += 1
        self.written.append(Written(sum(self.writes.values()), name, float(value), self._now()))
        self.advance(0.0)

    def tell(self, fault: Fault | str, value: float | bool | str = True) -> None:
        """Break something; see `Fault` for the values. It shows at once on every protocol.

        Raises: SettingsError for an unknown fault or a value that does not fit.
        """
        self.inputs = with_fault(self.inputs, _fault(fault), value)
        self.advance(0.0)

    def clear(self, fault: Fault | str | None = None) -> None:
        """Mend `fault`, or everything when None; a latched trip still needs a reset.

        Raises: SettingsError for an unknown fault.
        """
        self.inputs = without_fault(self.inputs, None if fault is None else _fault(fault))
        self.advance(0.0)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass in one step."""
        if self.inputs.faults.frozen:
            return
        self.state = step(self.state, self.inputs, seconds, self.parameters)
        self.inputs = settled(self.inputs, self.state)
        self.changed_at = self._now()
        for callback in self._callbacks:
            callback()

    async def run(self) -> None:
        """Step for ever, `step_seconds` at a time, in pace with the clock."""
        due = self._clock()
        while True:
            due += self._step_seconds
            await self._sleep(max(0.0, due - self._clock()))
            self.advance(self._step_seconds)
            if self._clock() - due > MAX_BEHIND_SECONDS:
                due = self._clock()

    async def failed(self) -> None:
        """Returns when the running model has died; leaving the plant then raises the reason."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.run(), name="simulated process")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raises: whatever the model's task died of, so that it cannot die unnoticed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.result()


def _fault(name: Fault | str) -> Fault:
    try:
        return Fault(name)
    except ValueError as error:
        known = ", ".join(fault.value for fault in Fault)
        message = f"the plant knows no fault {str(name)!r}: use one of {known}"
        raise SettingsError(message, setting="fault") from error
