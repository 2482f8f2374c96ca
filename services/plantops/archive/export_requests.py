"""How a command gets an export of everything out of a running archive: by files in the archive's own folder.

The running archive owns its live file, and a copy of that file taken meanwhile is not one instant's. So the
command puts down a request, the archive writes the export with a cursor of its own, and the command moves it
to where it was wanted. Who may write into that folder is the archive's own user anyway: no further right,
port or subject is needed.

exports/<id>.request    put down by the command; taken away by it: the export is not wanted any more
exports/<id>.progress   rows that are written, of how many
exports/<id>            the export, whole
exports/<id>.answer     why there is none, or nothing
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import duckdb
import msgspec
import structlog

from plantops.archive.durable import make_folder
from plantops.archive.export_tables import Progress
from plantops.archive.exporting import export_all
from plantops.runtime.errors import PlantOpsError, Refused, StorageBusy

FOLDER: Final = "exports"
_TELL_SECONDS: Final = 0.2
_FORGOTTEN_SECONDS: Final = 3600.0

log = structlog.get_logger("plantops.archive")


class Told(msgspec.Struct, frozen=True):
    """What the archive tells of an export: how far it is, and why it failed ("" while it did not)."""

    done: int = 0
    total: int = 0
    problem: str = ""


class ExportRequest:
    """One request, from the side of the command that waits for it."""

    def __init__(self, state: Path) -> None:
        self._folder: Final = state / FOLDER
        self._id: Final = secrets.token_hex(8)

    @property
    def result(self) -> Path:
        """Where the archive puts the export."""
        return self._folder / self._id

    def put(self) -> None:
        """Ask for it."""
        make_folder(self._folder)
        self._file("request").touch(mode=0o600)

    def told(self) -> Told | None:
        """How far it is; None while the archive has not begun."""
        return _read(self._file("progress"))

    def answer(self) -> bool:
        """Whether it is done. Raises: Refused with the archive's reason when it could not be."""
        told = _read(self._file("answer"))
        if told is not None and told.problem:
            raise Refused(told.problem, reason="export")
        return told is not None

    def withdraw(self) -> None:
        """Take away everything that is left of it, whatever came of it."""
        for name in ("request", "progress", "answer"):
            self._file(name).unlink(missing_ok=True)
        shutil.rmtree(self.result, ignore_errors=True)

    def _file(self, ending: str) -> Path:
        return self._folder / f"{self._id}.{ending}"


def answer_requests(cursor: duckdb.DuckDBPyConnection, state: Path, parquet: Path) -> int:
    """Serve the requests that wait, oldest first, in the thread that owns `cursor`; how many there were.

    A failure is told to who asked and does not end the archive. What a command or an archive that was killed
    left behind is removed.
    """
    folder = state / FOLDER
    if not folder.is_dir():
        return 0
    for answered in folder.glob("*.answer"):
        if time.time() - answered.stat().st_mtime > _FORGOTTEN_SECONDS:
            answered.with_suffix(".request").unlink(missing_ok=True)  # its command was killed
    requests = sorted(folder.glob("*.request"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    waiting = [path for path in requests if not path.with_suffix(".answer").exists()]
    _sweep(folder, {path.stem for path in requests})
    for path in waiting:
        _write(path.with_suffix(".progress"), Told())
    for path in waiting:
        _serve(cursor, parquet, path)
    return len(waiting)


def _serve(cursor: duckdb.DuckDBPyConnection, parquet: Path, request: Path) -> None:
    problem = ""
    target = request.with_suffix("")
    shutil.rmtree(target, ignore_errors=True)  # of an archive that was killed before it could answer
    try:
        manifest = export_all(cursor, parquet, target, progress=_telling(request))
    except (PlantOpsError, OSError, duckdb.Error) as error:
        problem = str(error)
        log.warning("archive.export_failed", reason=problem)
    else:
        log.info("archive.exported", rows=manifest.rows)
    if request.exists():
        _write(request.with_suffix(".answer"), Told(problem=problem))
    else:
        shutil.rmtree(target, ignore_errors=True)


def _telling(request: Path) -> Progress:
    last = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal last
        if done < total and time.monotonic() - last < _TELL_SECONDS:
            return
        last = time.monotonic()
        if not request.exists():
            raise Refused("the export is not wanted any more", reason="withdrawn")
        _write(request.with_suffix(".progress"), Told(done, total))

    return tell


def _sweep(folder: Path, wanted: set[str]) -> None:
    for path in folder.iterdir():
        if path.name.lstrip(".").split(".")[0] not in wanted:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _read(path: Path) -> Told | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Told)
    except FileNotFoundError:
        return None


def _write(path: Path, told: Told) -> None:
    """Whole or not at all, for a reader who looks at any moment."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(msgspec.json.encode(told))
    fresh.replace(path)


def wait_for(
    request: ExportRequest,
    *,
    patience_seconds: float,
    progress: Progress | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Path:
    """The folder of the export, when the archive has written it; the caller moves it away and withdraws.

    Raises: Refused with the archive's reason; StorageBusy when it does not begin within the patience.
    """
    begun = time.monotonic()
    while not request.answer():
        told = request.told()
        if told is None and time.monotonic() - begun > patience_seconds:
            raise StorageBusy(
                "a process has the archive's live file and does not take up the export: look at "
                "`plantops status` and the archive's log, or stop it and export again"
            )
        if told is not None and progress is not None:
            progress(told.done, told.total)
        pause(_TELL_SECONDS)
    return request.result
