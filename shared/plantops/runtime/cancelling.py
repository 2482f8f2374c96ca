"""Cancellation that a library must not lose."""

from __future__ import annotations

import asyncio


def heed_cancel() -> None:
    """End the current task here when somebody has asked for it.

    `asyncio.wait_for` of Python 3.11 drops a cancellation that comes in the same turn as its result
    (gh-86296, mended in 3.12), and several clients wait by it: a loop around such a call would go on for
    ever, and whoever ends it would wait as long. Call it right after the library has returned. Raises:
    CancelledError.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
