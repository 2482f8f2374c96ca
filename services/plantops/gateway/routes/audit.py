"""`/v1/audit`: proofs of what happened, and the log as the static files of C2SP tlog-tiles."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter, QueryParameter

from plantops.gateway import catalogue
from plantops.gateway.bodies import AnyRequest
from plantops.gateway.caching import conditional_bytes
from plantops.gateway.caller import Caller
from plantops.gateway.desk import Desk
from plantops.gateway.preferences import Cursor
from plantops.gateway.problems import HttpProblem
from plantops.gateway.shapes.reading import ToolAnswer
from plantops.runtime.errors import Refused

TEXT: Final = "text/plain"
BYTES: Final = "application/octet-stream"
_MOST_PAGES: Final = 64

AboutCommand: TypeAlias = Annotated[
    str,
    QueryParameter(
        name="command", max_length=64, pattern=r"^[A-Za-z0-9_-]*$", description="By its identity."
    ),
]
Index: TypeAlias = Annotated[
    int, QueryParameter(name="index", ge=-1, le=2**53, description="One record, from 0; -1: none.")
]
Rest: TypeAlias = Annotated[
    str, PathParameter(description="As tlog-tiles names it behind `tile/`: `0/000`, `entries/x001/067.p/12`.")
]


class _Note(msgspec.Struct):
    note: str


class _Tile(msgspec.Struct):
    hashes: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()


@get("/v1/audit/proofs", tags=["audit"])
async def list_proofs(
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    command: AboutCommand = "",
    index: Index = -1,
    cursor: Cursor = "",
) -> ToolAnswer:
    """Proofs of the records about a command, or of one record: each is a whole tlog-proof, which anybody can
    check with the notary's key. 404 until a checkpoint covers them."""
    if bool(command) == (index >= 0):
        raise HttpProblem(409, "bad_request", "give either a command or the index of a record")
    asked = {"command": command} if command else {"index": index}
    return catalogue.told(await catalogue.call(desk, caller, catalogue.PROOF, asked, cursor))


@get("/v1/audit/records", tags=["audit"])
async def list_records(
    desk: NamedDependency[Desk], caller: NamedDependency[Caller], cursor: Cursor = ""
) -> ToolAnswer:
    """The newest records. For roles that the policy lets read the audit."""
    return catalogue.told(await catalogue.call(desk, caller, catalogue.RECORDS, {}, cursor))


@get(
    "/v1/audit/checkpoint",
    tags=["audit"],
    media_type=TEXT,
    responses={200: ResponseSpec(str, media_type=TEXT, description="The signed note, exactly.")},
)
async def show_checkpoint(
    request: AnyRequest, desk: NamedDependency[Desk], caller: NamedDependency[Caller]
) -> Response[str]:
    """The newest checkpoint with its cosignatures (C2SP tlog-checkpoint)."""
    told = await catalogue.call(desk, caller, catalogue.CHECKPOINT, {})
    note = msgspec.convert(told.result, _Note).note.encode()
    return conditional_bytes(request, note, TEXT, {"Cache-Control": "no-cache"})


@get(
    "/v1/audit/tile/{rest:path}",
    tags=["audit"],
    media_type=BYTES,
    responses={200: ResponseSpec(bytes, media_type=BYTES, description="The file, as an export has it.")},
)
async def show_tile(
    request: AnyRequest, desk: NamedDependency[Desk], caller: NamedDependency[Caller], rest: Rest
) -> Response[bytes]:
    """A tile of hashes, or a bundle of entries. A whole one never changes."""
    path = f"tile/{rest.strip('/')}"
    if len(path) > catalogue.MAX_PATH:
        raise HttpProblem(404, "not_found", "no file of the log has so long a name")
    tiles = await _tile(desk, caller, path)
    data = b"".join(base64.b64decode(each) for tile in tiles for each in tile.hashes)
    data += _bundle(base64.b64decode(each) for tile in tiles for each in tile.entries)
    kept = "no-cache" if ".p/" in path else "private, max-age=31536000, immutable"
    return conditional_bytes(request, data, BYTES, {"Cache-Control": kept})


async def _tile(desk: Desk, caller: Caller, path: str) -> list[_Tile]:
    """All pages of it: a bundle of long entries has several."""
    tiles, cursor = [], ""
    for _page in range(_MOST_PAGES):
        try:
            told = await catalogue.call(desk, caller, catalogue.TILE, {"path": path}, cursor)
        except Refused as error:
            if error.reason == "bad_arguments":
                raise HttpProblem(404, "not_found", error.message) from error
            raise
        tiles.append(msgspec.convert(told.result, _Tile))
        cursor = told.next
        if not cursor:
            return tiles
    raise HttpProblem(503, "server_not_ready", f"{path} has more pages than are read at once")


def _bundle(entries: Iterable[bytes]) -> bytes:
    """Each entry behind its length in two bytes (tlog-tiles, "Log entries")."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


HANDLERS: Final[tuple[Any, ...]] = (list_proofs, list_records, show_checkpoint, show_tile)
