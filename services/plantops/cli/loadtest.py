"""`plantops loadtest`: ask a gateway the same thing many times at once, and tell how fast it answers."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from plantops.cli.http_load import Judge, Loaded, Request, Verdict, by_status, load, percentile
from plantops.cli.output import DEMO_FOLDER, Folder, Json, err, print_json, table, visible
from plantops.cli.session import run
from plantops.deployment.place import load_place
from plantops.deployment.runtime_file import read_running
from plantops.runtime.errors import Refused, SettingsError

MESSAGE: Final = "Set speed to 1200 RPM simulate"
_MANY: Final = 1_000_000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="loadtest")(loadtest)


def loadtest(  # noqa: PLR0917 - typer reads the options from the signature
    folder: Folder = DEMO_FOLDER,
    url: Annotated[str, typer.Option(help="The gateway (default: the one that runs in the folder).")] = "",
    requests: Annotated[int, typer.Option("--requests", "-n", min=1, max=_MANY, help="How many.")] = 50,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, max=1000, help="How many at once.")
    ] = 5,
    message: Annotated[str, typer.Option(help="What `POST /chat` is asked.")] = MESSAGE,
    command: Annotated[
        str, typer.Option(help="Instead, a body for `POST /v1/commands`, as JSON; simulated unless it says.")
    ] = "",
    api_key: Annotated[
        str, typer.Option("--api-key", envvar="PLANTOPS_API_KEY", help="Sent as X-API-Key.")
    ] = "",
    role: Annotated[str, typer.Option(help="Sent as X-Roles, which counts in a demonstration.")] = "operator",
    timeout: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds for one request.")] = 30.0,
    max_error_rate: Annotated[
        float, typer.Option("--max-error-rate", min=0, max=1, help="Exit code 1 above it.")
    ] = 0.1,
    json: Json = False,
) -> None:
    """Load the gateway with one request many times at once: rate, percentiles, errors.

    Without an option it asks for a simulation, which writes to no device. Exit code 1 above the error rate.
    """
    headers = {"X-API-Key": api_key} if api_key else {"X-Roles": role}
    where = url or _own(folder)
    if command:
        request = Request.of(where, "POST", "/v1/commands?wait=20", headers, _command(command))
        judge: Judge = judge_command
    else:
        body = msgspec.json.encode({"message": message})
        request, judge = Request.of(where, "POST", "/chat", headers, body), judge_chat
    loaded = run(_load(request, requests, concurrency, timeout, judge, quiet=json))
    if json:
        print_json(_facts(loaded))
    else:
        _show(loaded)
    if loaded.error_rate > max_error_rate:
        raise Refused(
            f"{loaded.error_rate:.1%} of {loaded.requests} requests failed, the limit is"
            f" {max_error_rate:.1%}: see the codes above",
            reason="error_rate",
        )


class _Result(msgspec.Struct):
    status: str


class _Reply(msgspec.Struct):
    tool_results: tuple[_Result, ...]


class _Command(msgspec.Struct):
    state: str = ""


def judge_chat(status: int, body: bytes) -> Verdict:
    """A turn by the outcome of its last tool; a denial is an answer, as in TwinOps."""
    if status >= 400:
        return by_status(status, body)
    try:
        results = msgspec.json.decode(body, type=_Reply).tool_results
    except msgspec.DecodeError:
        return Verdict(f"{status} unreadable", is_error=True)
    return Verdict(f"{status} {results[-1].status}" if results else str(status), is_error=False)


def judge_command(status: int, body: bytes) -> Verdict:
    """A command by its state."""
    if status >= 400:
        return by_status(status, body)
    try:
        state = msgspec.json.decode(body, type=_Command).state
    except msgspec.DecodeError:
        return Verdict(f"{status} unreadable", is_error=True)
    return Verdict(f"{status} {state}".strip(), is_error=state in ("failed", "unknown"))


def _own(folder: Path) -> str:
    running = read_running(load_place(folder).folder)
    if running is None or not running.gateway:
        raise SettingsError(f"no gateway runs in {folder}: start `plantops up`, or give --url", setting="url")
    return f"http://127.0.0.1:{running.gateway}"


def _command(text: str) -> bytes:
    try:
        body = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise typer.BadParameter(f"no JSON object ({error})", param_hint="--command") from error
    if "key" in body:
        raise typer.BadParameter("leave the key out: with it, all are one command", param_hint="--command")
    return msgspec.json.encode({"mode": "simulate", **body})


async def _load(
    request: Request, requests: int, concurrency: int, seconds: float, judge: Judge, *, quiet: bool
) -> Loaded:
    with ExitStack() as stack:
        progress = stack.enter_context(
            Progress(
                BarColumn(40),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[rate]}"),
                console=err,
                transient=True,
                disable=quiet or not err.is_terminal,
                auto_refresh=False,
            )
        )
        shown = progress.add_task("", total=requests, rate="")

        async def look() -> None:
            before = 0
            while True:
                await asyncio.sleep(0.25)
                rate = f"{(done - before) / 0.25:.0f}/s"
                before = done
                progress.update(shown, completed=done, rate=rate, refresh=True)

        done = 0

        def told(count: int) -> None:
            nonlocal done
            done = count

        looking = asyncio.create_task(look())
        try:
            return await load(
                request, concurrency=concurrency, requests=requests, timeout=seconds, judge=judge, told=told
            )
        finally:
            looking.cancel()


def _facts(loaded: Loaded) -> dict[str, Any]:
    shares = {f"p{share}_ms": 1000 * percentile(loaded.seconds, share / 100) for share in (50, 95, 99)}
    return {
        "requests": loaded.requests,
        "seconds": loaded.elapsed,
        "rps": loaded.rate,
        **shares,
        "answers": dict(loaded.answers.most_common()),
        "errors": dict(loaded.errors.most_common()),
        "error_rate": loaded.error_rate,
    }


def _show(loaded: Loaded) -> None:
    facts = _facts(loaded)
    rows = [("requests", f"{loaded.requests} in {loaded.elapsed:.1f} s"), ("good", f"{loaded.rate:.1f}/s")]
    rows += [(f"p{share}", f"{facts[f'p{share}_ms']:.1f} ms") for share in (50, 95, 99)]
    table("", ("what", "measured"), rows)
    counted = [(visible(word), str(count), "") for word, count in loaded.answers.most_common()]
    counted += [(visible(word), str(count), "error") for word, count in loaded.errors.most_common()]
    table("", ("answer", "count", ""), counted)
