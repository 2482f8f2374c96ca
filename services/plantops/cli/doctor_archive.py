"""What `plantops doctor` and `status` say of the archive: from the file in which it tells how it is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from plantops.archive.condition import Condition, StreamCondition, load_condition
from plantops.archive.place import LIVE_FILE
from plantops.archive.settings import ArchiveSettings
from plantops.archive.specs import ARCHIVE
from plantops.deployment.place import Place
from plantops.deployment.readiness import Check, Grade
from plantops.runtime.errors import PlantOpsError

SILENT_SECONDS: Final = 15.0
"""It renews its file every 2 seconds; a commit or snapshot in between may take some more."""

BEHIND_MESSAGES: Final = 10_000
_OLD_SERVES: Final = 6  # so many pauses between two snapshots make one old
_OLD_SNAPSHOT_SECONDS: Final = 30.0
_OLD_PASSES: Final = 3
_LIST: Final = 'look with `plantops query "SELECT * FROM {table} ORDER BY stored_at DESC"`'

UNREAD: Final[Mapping[str, tuple[str, str]]] = {
    "unknown_type": (
        "of a type that this program does not know",
        "a newer PlantOps wrote them: update this one, then `plantops replay --replace`",
    ),
    "unknown_version": (
        "of a version that this program does not know",
        "a newer PlantOps wrote them: update this one, then `plantops replay --replace`",
    ),
    "untrusted": (
        "not signed by a key that counted when they were stored",
        "find out who writes there; a key that only came later into the policy does not count backwards",
    ),
    "malformed": ("that are no events at all", "find out who writes there"),
}
HOLES: Final[Mapping[str, str]] = {
    "expired": "the streams let them go before they were archived: keep more there, or the archive running",
    "missing": "somebody took them out of the stream: find out who, the broker's log tells",
}


def archive(site: Place) -> list[Check]:
    """All that can be said without asking the broker."""
    folder = site.folder.state(ARCHIVE)
    try:
        condition = load_condition(folder)
    except PlantOpsError as error:
        return [Check("archive", "bad", error.message)]
    now = time.time()
    if condition is None or not is_running(condition, now):
        return [not_running(condition, now), *live_file(folder)]
    return list(judged(condition, site.settings.archive, now))


def is_running(condition: Condition, now: float) -> bool:
    """Whether it told something just now (it may live in another container), or its process is there."""
    return now - condition.at < SILENT_SECONDS or Path(f"/proc/{condition.pid}").exists()


def not_running(condition: Condition | None, now: float) -> Check:
    """Nothing is lost by that while the streams keep what comes."""
    since = "has never run" if condition is None else f"has told nothing for {_span(now - condition.at)}"
    return Check(
        "archive",
        "warn",
        f"does not run: it {since}",
        "start it with `plantops up`, or see its log; the streams keep what comes until they are full",
    )


def live_file(folder: Path) -> Iterator[Check]:
    """Whether the file of an archive that does not run can be opened."""
    # DuckDB is large, and only needed here.
    import duckdb  # noqa: PLC0415

    from plantops.archive.faults import translated  # noqa: PLC0415

    path = folder / LIVE_FILE
    if not path.exists():
        return
    try:
        with translated(path), duckdb.connect(str(path), read_only=True) as connection:
            connection.execute("SELECT count(*) FROM about").fetchall()
    except PlantOpsError as error:
        yield Check("archive file", "bad", error.message)
    except duckdb.Error as error:
        said = str(error).splitlines()[0]
        yield Check(
            "archive file",
            "bad",
            f"{path} is no archive of PlantOps ({said})",
            "move it away and rebuild it with `plantops replay --replace`",
        )
    else:
        yield Check("archive file", "ok", f"{path} opens, {path.stat().st_size / 1e6:,.0f} MB")


def judged(condition: Condition, settings: ArchiveSettings, now: float) -> Iterator[Check]:
    """Of an archive that runs."""
    yield _alive(condition, now)
    yield from _streams(condition.streams)
    yield from _unread(condition.unread)
    for cause, count in sorted(condition.holes.items()):
        advice = f"{HOLES.get(cause, 'find out why')}; {_LIST.format(table='hole')}"
        yield Check("archive holes", "warn", f"{count} stretches of streams are {cause}", advice)
    yield _served(condition, settings, now)
    if settings.parquet.enabled:
        yield _closed(condition, settings, now)


def _alive(condition: Condition, now: float) -> Check:
    if condition.problem:
        return Check(
            "archive",
            "bad",
            f"stores nothing: {condition.problem}",
            "it goes on by itself; until then the streams keep what comes, and nothing is lost",
        )
    silent = now - condition.at
    if silent >= SILENT_SECONDS:
        return Check(
            "archive",
            "bad",
            f"process {condition.pid} is there, but has told nothing for {_span(silent)}",
            "is its disk full, or the process stopped? make room, or start it again",
        )
    return Check("archive", "ok", f"process {condition.pid}, {condition.samples:,} samples since its start")


def _streams(streams: Mapping[str, StreamCondition]) -> Iterator[Check]:
    for name, stream in sorted(streams.items()):
        if stream.halted:
            yield Check("archive stream", "bad", stream.halted, f"{name} waits, all others go on")
    behind = {name: stream.lag for name, stream in streams.items() if stream.lag and not stream.halted}
    told = ", ".join(f"{name} {lag:,}" for name, lag in sorted(behind.items(), key=lambda one: -one[1]))
    grade: Grade = "warn" if max(behind.values(), default=0) > BEHIND_MESSAGES else "ok"
    yield Check(
        "archive lag",
        grade,
        f"messages that wait: {told}" if told else "everything is archived",
        "normal after a pause; if it grows, give the process a processor and a faster disk",
    )


def _unread(unread: Mapping[str, int]) -> Iterator[Check]:
    for cause, count in sorted(unread.items()):
        meaning, advice = UNREAD.get(cause, ("that could not be used", "find out why"))
        found = f"{count} messages {meaning} are kept as they came"
        yield Check("archive unread", "warn", found, f"{advice}; {_LIST.format(table='unread')}")


def _served(condition: Condition, settings: ArchiveSettings, now: float) -> Check:
    age = _age(condition.served_at, now)
    if condition.not_served:
        found = f"the snapshot for queries and dashboards is {age}: {condition.not_served}"
        return Check("archive snapshot", "bad", found, "it is tried again every few seconds")
    limit = max(_OLD_SNAPSHOT_SECONDS, _OLD_SERVES * settings.serve_seconds)
    grade: Grade = "ok" if now - condition.served_at < limit else "warn"
    return Check(
        "archive snapshot",
        grade,
        f"{age}, took {condition.served_seconds:.1f} s",
        "dashboards show the past: is the machine overloaded? smaller windows in [archive.window] help",
    )


def _closed(condition: Condition, settings: ArchiveSettings, now: float) -> Check:
    age = _age(condition.closed_at, now)
    if condition.not_closed:
        return Check(
            "archive Parquet",
            "warn",
            f"the last whole pass is {age}: {condition.not_closed}",
            "it is tried again; until then nothing of it leaves the live file",
        )
    is_late = condition.closed_at and now - condition.closed_at > _OLD_PASSES * settings.parquet.every_seconds
    grade: Grade = "warn" if is_late else "ok"
    return Check("archive Parquet", grade, f"last whole pass: {age}", "see its log: a pass takes very long")


def _age(moment: float, now: float) -> str:
    return f"{_span(now - moment)} old" if moment else "not there yet"


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def summary(site: Place) -> tuple[Condition | None, str]:
    """How it is in one line, for `plantops status`, and the whole condition."""
    try:
        condition = load_condition(site.folder.state(ARCHIVE))
    except PlantOpsError as error:
        return None, error.message
    now = time.time()
    if condition is None or not is_running(condition, now):
        return condition, not_running(condition, now).found
    worst = [check for check in judged(condition, site.settings.archive, now) if check.grade == "bad"]
    if worst:
        return condition, worst[0].found
    lag = sum(stream.lag for stream in condition.streams.values())
    return condition, f"{lag:,} messages wait, snapshot {_age(condition.served_at, now)}"
