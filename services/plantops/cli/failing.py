"""How a command fails: one line on standard error, an exit code, and never a traceback unasked."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Final

from plantops.runtime.errors import PlantOpsError

DEBUG: Final = "PLANTOPS_DEBUG"
FAILED: Final = 1
WRONG_USE: Final = 2
INTERRUPTED: Final = 130
_ADVICE: Final = {
    errno.ENOSPC: "make room on this disk, then try again",
    errno.EDQUOT: "make room in your quota, then try again",
    errno.EROFS: "mount it writable, or take another folder",
    errno.EACCES: "check its owner and rights",
    errno.EPERM: "check its owner and rights",
    errno.EADDRINUSE: "stop what uses this port, or set another one in plantops.toml",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ECONNREFUSED: "is it running? look at `plantops doctor`",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "give the path of a file",
}


def exit_code(error: BaseException) -> int:
    """The code for whatever ended a command; interruption counts before every failure beside it."""
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves(error)):
        return INTERRUPTED
    return FAILED


def tell(error: BaseException) -> None:
    """Say it on standard error; nothing for an interruption and for a reader that went away."""
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    found = list(leaves(error))
    if any(isinstance(leaf, KeyboardInterrupt | BrokenPipeError) for leaf in found):
        return
    write_line(sentence(telling(found)))


def write_line(text: str) -> None:
    """`error: text`, on one line however long; without colours unless a terminal reads it."""
    mark = "\x1b[1;31merror:\x1b[0m" if sys.stderr.isatty() and "NO_COLOR" not in os.environ else "error:"
    sys.stderr.write(f"{mark} {one_line(text)}\n")


def leaves(error: BaseException) -> Iterator[BaseException]:
    """What really happened: task groups wrap it, several deep."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error


def telling(found: list[BaseException]) -> BaseException:
    """Of several failures the one that says most to a person: ours, then the system's, then the rest."""
    for kind in (PlantOpsError, OSError):
        for error in found:
            if isinstance(error, kind):
                return error
    return found[0]


def sentence(error: BaseException) -> str:
    """What happened, to what, what to do next."""
    match error:
        case PlantOpsError():
            return error.message
        case TimeoutError() if not error.errno:
            return f"no answer in time{_detail(error)}: look at `plantops status` and `plantops doctor`"
        case OSError():
            return _of_system(error)
        case _:
            return (
                f"unexpected {type(error).__name__}{_detail(error)}: a fault of PlantOps; "
                f"run it again with {DEBUG}=1 and report what it shows"
            )


def _of_system(error: OSError) -> str:
    advice = _ADVICE.get(error.errno or 0, "see `plantops doctor`")
    what = error.strerror or str(error) or type(error).__name__
    place = f"{os.fspath(error.filename)}: " if isinstance(error.filename, str | os.PathLike) else ""
    return f"{place}{what[:1].lower()}{what[1:]}: {advice}"


def _detail(error: BaseException) -> str:
    return f" ({error})" if str(error) else ""


def one_line(text: str) -> str:
    """Line breaks of what a part wrote, such as the end of its log, become bars; what would move the cursor
    is shown instead of done."""
    line = " | ".join(line.strip() for line in text.splitlines() if line.strip())
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in line)
