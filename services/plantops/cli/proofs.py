"""Proving what happened: the auditor's connection, verification with a progress bar, damage on purpose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from plantops.audit.export import export
from plantops.audit.offline import folder_checkpoint, verify_folder
from plantops.audit.trust import AuditTrust, trust_of
from plantops.audit.verify import OnlineReport, verify_online
from plantops.cli.output import Voice, err, safe
from plantops.deployment.broker import connect
from plantops.deployment.place import Place
from plantops.deployment.policies import earlier_policies, read_envelope, verify_envelope
from plantops.flow.bus import Bus
from plantops.ledger.tiles import Written
from plantops.ledger.verify import Report
from plantops.ledger.witnesses import WitnessPolicy
from plantops.runtime.errors import Refused
from plantops.runtime.nkey import NKey

AUDITOR = "auditor"
HIGH_WATER = "high-water"


@asynccontextmanager
async def auditor(site: Place) -> AsyncIterator[Bus]:
    """The reader of the audit account. Raises: SettingsError when its keys are not here."""
    bus = await connect(site, AUDITOR, NKey.load(site.folder.identity(AUDITOR).login))
    try:
        yield bus
    finally:
        await bus.close()


def site_trust(site: Place) -> AuditTrust:
    """Whose records and checkpoints count, from the policies that this machine's trust root verifies: the
    one that stands, and those that it replaced."""
    standing = verify_envelope(site.folder, read_envelope(site.folder)).policy
    earlier, refused = earlier_policies(site.folder)
    for path in refused:
        err.print(f"{safe(str(path))} is not believed: keys that only it names do not count", soft_wrap=True)
    return trust_of(standing, *earlier)


@contextmanager
def shown_progress(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, gone when the work is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        console=err,
        transient=True,
        disable=quiet or not err.is_terminal,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        task = progress.add_task(what, total=None)

        def told(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield told


async def verify_site(
    site: Place, *, quiet: bool, archive: Path | None = None, witnesses: WitnessPolicy | None = None
) -> OnlineReport:
    """The whole running log, against what this machine remembers of it and against an archive of it."""
    state = site.folder.state(AUDITOR)
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with auditor(site) as bus:
        with shown_progress("verifying", quiet=quiet) as progress:
            trust = site_trust(site)
            return await verify_online(
                bus,
                trust,
                remembered=state / HIGH_WATER,
                archived=folder_checkpoint(archive, trust) if archive is not None else None,
                witnesses=witnesses,
                progress=progress,
            )


async def export_site(site: Place, folder: Path, *, quiet: bool) -> Written:
    """Everything that the last checkpoint covers, as files."""
    async with auditor(site) as bus:
        with shown_progress("exporting", quiet=quiet) as progress:
            return await export(bus, folder, site=site.name, progress=progress)


def tell_online(report: OnlineReport, voice: Voice) -> None:
    """For people."""
    if report.ok:
        voice.say(
            f"  [green]verified[/]: {report.size} records, each signature and chain; {report.covered} under "
            f"{report.checkpoints} checkpoints, root {report.root[:16]}…",
        )
    for finding in report.findings:
        place = f"record {finding.index}" if finding.index is not None else "the log"
        voice.say(f"  [red]{finding.kind}[/] at {place}: {safe(finding.detail)}")


def tell_offline(report: Report, voice: Voice) -> None:
    """For people."""
    if report.ok:
        voice.say(
            f"  [green]verified offline[/]: {report.size} records, from files and public keys alone",
        )
    for finding in report.findings[:10]:
        place = f"record {finding.index}" if finding.index is not None else finding.path or "the export"
        by = f" by {finding.writer}" if finding.writer else ""
        voice.say(f"  [red]{finding.kind}[/] at {place}{by}: {safe(finding.detail)}")


async def verify_all(site: Place, voice: Voice) -> None:
    """The demo: the running log. Raises: Refused when something is wrong with it."""
    report = await verify_site(site, quiet=voice.json)
    tell_online(report, voice)
    if not report.ok:
        raise Refused("the audit does not verify", reason="demo")


async def export_and_damage(site: Place, folder: Path, voice: Voice) -> None:
    """The demo: an export verifies; with one byte changed it does not, and the record is named."""
    written = await export_site(site, folder, quiet=voice.json)
    voice.say(f"  exported {written.size} records to tiles")
    trust = site_trust(site)
    report = verify_folder(folder, trust)
    tell_offline(report, voice)
    if not report.ok:
        raise Refused("the export does not verify", reason="demo")
    bundle = max(path for path in (folder / "tile" / "entries").rglob("*") if path.is_file())
    data = bytearray(bundle.read_bytes())
    # In a signature, where any other letter is still well-formed: only the proof can notice it.
    position = data.rindex(b'"sig":"', 0, len(data) // 2) + 20
    data[position] = ord("A") if data[position] != ord("A") else ord("B")
    bundle.write_bytes(data)
    voice.say(f"  one byte of {bundle.relative_to(folder)} changed, at {position}")
    damaged = verify_folder(folder, trust)
    tell_offline(damaged, voice)
    if damaged.first_bad_index is None:
        raise Refused("the changed byte was not found", reason="demo")
