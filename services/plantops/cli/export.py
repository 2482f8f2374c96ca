"""`plantops export`: the archive as files for other programs, or whole, to make it again from."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from plantops.archive.export_manifest import ExportManifest, TableFile, read_export
from plantops.archive.export_requests import ExportRequest, wait_for
from plantops.archive.export_tables import Progress, Wanted, opened
from plantops.archive.exporting import export_all, export_window
from plantops.archive.importing import load_parquet, load_tables
from plantops.archive.manifest import File
from plantops.archive.place import LIVE_FILE, PARQUET, SERVED_FILE
from plantops.archive.specs import ARCHIVE
from plantops.archive.store import Store
from plantops.archive.table import Table
from plantops.archive.tables import TABLES
from plantops.cli.export_check import verify
from plantops.cli.moments import moment
from plantops.cli.output import DEMO_FOLDER, Folder, Json, did_you_mean, out, print_json, safe, some
from plantops.cli.proofs import shown_progress
from plantops.deployment.place import load_place
from plantops.events.base import to_nanoseconds
from plantops.runtime.errors import Refused, SettingsError, StorageBusy

PATIENCE_SECONDS: Final = 30.0


class Form(StrEnum):
    """What files are written."""

    PARQUET = "parquet"
    CSV = "csv"
    DUCKDB = "duckdb"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="export")(export)


def export(
    target: Annotated[Path, typer.Argument(help="A new folder; with --verify one to check.")],
    *,
    folder: Folder = DEMO_FOLDER,
    form: Annotated[Form, typer.Option("--format", help="What files are written.")] = Form.PARQUET,
    table: Annotated[
        list[str] | None, typer.Option("--table", "-t", help="Only this table; may be given several times.")
    ] = None,
    since: Annotated[str, typer.Option("--from", help="Only rows from this time on (UTC).")] = "",
    until: Annotated[str, typer.Option("--to", help="Only rows before this time (UTC).")] = "",
    live: Annotated[
        bool, typer.Option("--live", help="Everything that was ever archived, not the served snapshot.")
    ] = False,
    verify_: Annotated[
        bool,
        typer.Option("--verify", help="Write nothing; check TARGET, an export or the archive's parquet."),
    ] = False,
    json: Json = False,
) -> None:
    """Write the archive as Parquet, CSV or DuckDB, with a manifest of hashes.

    By default it is what the served snapshot holds: all tables, the newest rows. With --live it is
    everything, whether the archive runs or not; as Parquet and unbounded, the archive can be made again
    from it. Nothing is ever written over.
    """
    if verify_:
        verify(load_place(folder), target, json=json)
        return
    wanted = Wanted(_tables(table or []), _microseconds(since, "--from"), _microseconds(until, "--to"))
    state = load_place(folder).folder.state(ARCHIVE)
    if target.exists():
        raise Refused(f"{target} exists and is not written over: name a new folder", reason="exists")
    if not live:
        with shown_progress("exporting", quiet=json) as progress:
            manifest = export_window(state / SERVED_FILE, target, wanted, form.value, progress=progress)
    elif form is Form.PARQUET and wanted == Wanted():
        manifest = _everything(state, target, quiet=json)
    else:
        manifest = _made_of_everything(state, target, wanted, form, quiet=json)
    _tell(manifest, target, json=json)


def _tables(names: list[str]) -> tuple[Table, ...]:
    for name in names:
        if name not in TABLES:
            raise SettingsError(
                f"no table {name!r}{did_you_mean(name, TABLES)}: there are {some(TABLES, most=40)}",
                setting="table",
            )
    return tuple(TABLES[name] for name in dict.fromkeys(names)) or tuple(TABLES.values())


def _microseconds(text: str, option: str) -> int | None:
    """Since 1970."""
    found = moment(text, option)
    return None if found is None else to_nanoseconds(found) // 1000


def _everything(state: Path, target: Path, *, quiet: bool) -> ExportManifest:
    """By our own hand when nobody has the live file, else by the archive's."""
    with shown_progress("exporting", quiet=quiet) as progress, _beside(target) as spill:
        try:
            with opened(state / LIVE_FILE, spill) as connection:
                return export_all(connection, state / PARQUET, target, progress=progress)
        except StorageBusy:
            return _asked(state, target, progress)


def _asked(state: Path, target: Path, progress: Progress) -> ExportManifest:
    request = ExportRequest(state)
    request.put()
    try:
        result = wait_for(request, patience_seconds=PATIENCE_SECONDS, progress=progress)
        with _beside(target) as near:
            # Another disk perhaps: then it is copied, and has its name only when it is whole.
            shutil.move(result, near / "whole")
            (near / "whole").rename(target)
    finally:
        request.withdraw()
    manifest = read_export(target)
    assert manifest is not None
    return manifest


def _made_of_everything(
    state: Path, target: Path, wanted: Wanted, form: Form, *, quiet: bool
) -> ExportManifest:
    """Through a whole export and an archive made of it, beside the target: they need their room meanwhile."""
    with _beside(target) as near:
        whole = _everything(state, near / "whole", quiet=quiet)
        store = Store.open(near / "made.duckdb", whole.site)
        try:
            with shown_progress("loading", quiet=quiet) as progress:
                load_parquet(store, near / "whole", progress=lambda _what, done, total: progress(done, total))
            load_tables(store, near / "whole")
        finally:
            store.close()
        shutil.rmtree(near / "whole")
        with shown_progress("writing", quiet=quiet) as progress:
            return export_window(near / "made.duckdb", target, wanted, form.value, progress=progress)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder on the target's disk that is gone afterwards."""
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.absolute().parent) as near:
        yield Path(near)


def _tell(manifest: ExportManifest, target: Path, *, json: bool) -> None:
    rows: dict[str, int] = {}
    written: list[File | TableFile] = [*manifest.files, *manifest.tables]
    for file in written:
        rows[file.table] = rows.get(file.table, 0) + file.rows
    if json:
        print_json(
            {
                "folder": str(target),
                "format": manifest.format,
                "scope": manifest.scope,
                "files": len(written),
                "rows": manifest.rows,
                "tables": rows,
            }
        )
        return
    what = "everything" if manifest.scope == "all" else "a window"
    out.print(
        f"exported {what}: {manifest.rows:,} rows in {len(written)} files "
        f"to {safe(str(target))}; its manifest.json names each with its SHA-256",
        soft_wrap=True,
    )
