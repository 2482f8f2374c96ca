"""An answer as it leaves: cleaned, within the size bound, and with the way to what did not fit. Pure."""

from __future__ import annotations

import base64
from typing import Any, Final

import msgspec

from plantops.events.base import Record, encode_json
from plantops.events.provenance import Provenance
from plantops.events.tooling import Json
from plantops.tools.clean import clean_text, clean_value, is_exact
from plantops.tools.contract import AnyTool, Page, ToolError

MAX_CURSOR: Final = 4096


class Place(Record, frozen=True):
    """Where the next page begins: the tool's own cursor, and how many items of that page were given already.

    `call` is the digest of the call that it belongs to.
    """

    call: str
    own: str = ""
    skip: int = 0


class Fitted(Record, frozen=True):
    """What goes into the answer."""

    result: Json
    provenance: tuple[Provenance, ...]
    next: str


def write_place(place: Place) -> str:
    """The cursor that callers hold; it keeps nothing secret."""
    return base64.urlsafe_b64encode(encode_json(place)).decode().rstrip("=")


def read_place(cursor: str, call: str) -> Place:
    """Raises: ToolError unless it is a cursor that was given for the same call."""
    if not cursor:
        return Place(call=call)
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = msgspec.json.decode(data, type=Place)
    except (ValueError, RecursionError) as error:
        raise ToolError("bad_cursor", "the cursor is none that was given here: begin without one") from error
    if len(cursor) > MAX_CURSOR or place.skip < 0 or place.call != call:
        raise ToolError(
            "bad_cursor",
            "the cursor belongs to another call: keep tool and arguments, or begin without a cursor",
        )
    return place


def fit(tool: AnyTool, page: Page[Any], place: Place, *, rows: int, most_bytes: int) -> Fitted:
    """The page from `place` on, as much of it as fits.

    Raises: ToolError `too_large` where not even one item fits, `unclean` where an exact text has what would
    be taken out of any other.
    """
    result = _clean_result(tool, page)
    provenance = tuple(msgspec.structs.replace(one, name=clean_text(one.name)) for one in page.provenance)
    if not tool.items:
        fitted = Fitted(result=result, provenance=provenance, next=_behind(page, place))
        _check_size(tool, fitted, most_bytes)
        return fitted
    items = result[tool.items]
    is_paired = len(provenance) == len(items)
    size = _size(result | {tool.items: []}) + (0 if is_paired else _size(provenance))
    count = 0
    for index in range(place.skip, min(len(items), place.skip + rows)):
        size += _size(items[index]) + 1 + (_size(provenance[index]) + 1 if is_paired else 0)
        if size > most_bytes:
            break
        count += 1
    end = place.skip + count
    is_cut = end < len(items)
    if is_cut and count == 0:
        raise _too_large(tool, size, most_bytes)
    fitted = Fitted(
        result=result | {tool.items: items[place.skip : end]},
        provenance=provenance[place.skip : end] if is_paired else provenance,
        next=write_place(Place(call=place.call, own=place.own, skip=end)) if is_cut else _behind(page, place),
    )
    if count == 0:
        _check_size(tool, fitted, most_bytes)
    return fitted


def _behind(page: Page[Any], place: Place) -> str:
    return write_place(Place(call=place.call, own=page.next)) if page.next else ""


def _clean_result(tool: AnyTool, page: Page[Any]) -> dict[str, Json]:
    plain = msgspec.to_builtins(page.result)
    for name in tool.exact:
        if not _is_exact(plain.get(name)):
            raise ToolError(
                "unclean",
                f"{name} of {tool.name} has characters that cannot be shown: look at the log itself",
            )
    return {name: value if name in tool.exact else clean_value(value) for name, value in plain.items()}


def _is_exact(value: Json) -> bool:
    match value:
        case str():
            return is_exact(value)
        case dict():
            return all(map(is_exact, value)) and all(map(_is_exact, value.values()))
        case list() | tuple():
            return all(map(_is_exact, value))
        case _:
            return True


def _check_size(tool: AnyTool, fitted: Fitted, most_bytes: int) -> None:
    size = _size(fitted.result) + _size(fitted.provenance)
    if size > most_bytes:
        raise _too_large(tool, size, most_bytes)


def _too_large(tool: AnyTool, size: int, most_bytes: int) -> ToolError:
    return ToolError(
        "too_large",
        f"the answer of {tool.name} has {size} bytes, at most {most_bytes} are given: ask for less",
    )


def _size(value: object) -> int:
    return len(encode_json(value))
