"""Children that do not outlive their parent, so that a killed `plantops up` leaves nothing running."""

from __future__ import annotations

import ctypes
import signal
import sys

# prctl(2): the kernel sends this signal when the parent dies, however it dies.
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent() -> None:
    """For `preexec_fn`: SIGTERM when the parent is gone. Only Linux can do it; elsewhere nothing happens.

    The parent must start the child in its main thread, since the kernel looks at the thread.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
