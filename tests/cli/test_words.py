"""What the command line makes of words, and which words it finds for what happened; nothing runs here."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plantops.cli import failing
from plantops.cli.commands import ended_badly, parse_arguments
from plantops.cli.following import describe, words
from plantops.cli.loading import ENTRIES, load
from plantops.cli.main import run
from plantops.cli.output import Voice, aligned, did_you_mean, seconds, shown, table
from plantops.events.base import AssetName, CommandId, OperationName, PrincipalName, Scalar
from plantops.events.queries import CommandStatus
from plantops.flow.results import is_at_rest
from plantops.runtime.errors import BrokerUnavailable, SettingsError

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        ([], {}),
        (["RPM=1200"], {"RPM": 1200}),
        (["RPM=-3.5"], {"RPM": -3.5}),
        (["RPM=1e3"], {"RPM": 1000.0}),
        (["on=true", "off=false"], {"on": True, "off": False}),
        (["name=a=b"], {"name": "a=b"}),
        (["name="], {"name": ""}),
        (["name=True"], {"name": "True"}),
        (["name=12 bar"], {"name": "12 bar"}),
    ],
)
def test_arguments_are_numbers_truths_or_text(texts: list[str], wanted: dict[str, Scalar]) -> None:
    found = parse_arguments(texts)
    assert found == wanted
    assert {name: type(value) for name, value in found.items()} == {n: type(v) for n, v in wanted.items()}


@pytest.mark.parametrize(
    ("texts", "word"),
    [
        (["1200"], "key=value"),
        (["=1200"], "key=value"),
        (["RPM=1", "RPM=2"], "twice"),
        (["RPM=nan"], "finite"),
        (["RPM=inf"], "finite"),
        (["RPM=1e999"], "finite"),
        (["RPM=1" + "0" * 5000], "finite"),
        (["RPM=1" + "0" * 20], "64 bits"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(texts: list[str], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        parse_arguments(texts)


def command(**facts: Any) -> CommandStatus:
    known: dict[str, Any] = {"phase": "asked", "reason": "", "outcome": ""}
    return CommandStatus(
        command=CommandId("abc"),
        handle="c1",
        asset=AssetName("pump-001"),
        operation=OperationName("SetSpeed"),
        arguments={},
        actor=PrincipalName("alice"),
        asked_at=NOON,
        **{**known, **facts},
    )


LATER = {"phase": "simulated", "expires_at": NOON + timedelta(minutes=5), "next": "confirm"}


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (command(), "asked"),
        (command(phase="denied", reason="role: none"), "denied: role: none"),
        (command(phase="permitted", outcome="command.claimed"), "permitted"),
        (command(phase="permitted", outcome="command.executed"), "executed"),
        (command(outcome="command.outcome_unknown", reason="it ended"), "outcome unknown: it ended"),
        (command(**LATER), "simulated; to execute it: --confirm c1 before 12:05:00 UTC"),
        (command(**LATER, confirmed_by="c2"), "simulated, and confirmed by c2"),
        (command(**{**LATER, "next": "nothing"}), "simulated; nothing was written"),
        (
            command(**{**LATER, "expires_at": NOON}),
            "simulated; its time to be confirmed ended at 12:00:00 UTC, ask again",
        ),
        (
            command(phase="waiting", expires_at=NOON),
            "waits for approval until 12:00:00 UTC: plantops approve c1",
        ),
    ],
)
def test_where_a_command_stands_is_said_in_words(status: CommandStatus, wanted: str) -> None:
    assert describe(status, NOON) == wanted


@pytest.mark.parametrize(
    ("status", "rests", "badly"),
    [
        (command(), False, False),
        (command(phase="permitted", outcome="command.claimed"), False, False),
        (command(phase="permitted", outcome="command.executed"), True, False),
        (command(phase="cancelled", outcome="command.executed"), True, False),
        (command(phase="cancelled", outcome="command.claimed"), False, True),
        (command(phase="permitted", outcome="command.failed"), True, True),
        (command(phase="permitted", outcome="command.outcome_unknown"), True, True),
        (command(phase="waiting"), True, False),
        (command(phase="simulated"), True, False),
        (command(phase="denied"), True, True),
        (command(phase="expired"), True, True),
    ],
)
def test_a_script_learns_whether_to_go_on(status: CommandStatus, rests: bool, badly: bool) -> None:
    assert (is_at_rest(status), ended_badly(status)) == (rests, badly)


def test_brackets_in_a_reason_stay_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    class Denied:
        reason = "limits: [0, 100] is the range [/]"

    Voice(json=False).say(words(Denied()))
    assert capsys.readouterr().out == "limits: [0, 100] is the range [/]\n"


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (SettingsError("mend it"), "mend it"),
        (BrokerUnavailable("gone:\nline 1\n\n  line 2"), "gone: | line 1 | line 2"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/a/b"),
            "/a/b: no space left on device: make room",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/a"), "/a: permission denied: check its owner"),
        (ExceptionGroup("x", [ValueError("v"), ExceptionGroup("y", [SettingsError("told")])]), "told"),
        (
            ExceptionGroup("x", [OSError(errno.EADDRINUSE, "Address already in use")]),
            "address already in use:",
        ),
        (TimeoutError(), "no answer in time: look at"),
        (KeyError("k"), "unexpected KeyError ('k'): a fault of PlantOps; run it again with PLANTOPS_DEBUG=1"),
    ],
)
def test_every_failure_is_one_line(
    error: BaseException, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    failing.tell(error)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {wanted}")
    assert failing.exit_code(error) == failing.FAILED


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BaseExceptionGroup("x", [KeyboardInterrupt()])])
def test_an_interruption_is_silent(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    failing.tell(error)
    assert capsys.readouterr().err == ""
    assert failing.exit_code(error) == failing.INTERRUPTED


def test_a_traceback_is_shown_to_who_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(failing.DEBUG, "1")
    failing.tell(ValueError("v"))
    assert "ValueError: v\nerror: unexpected ValueError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        (["tgas"], "Did you mean 'tags'"),
        (["policy", "sing"], "Did you mean 'sign'"),
        (["tags", "--jsn"], "--json"),
        (["read"], "see `plantops read --help`"),
        (["commands", "--limit", "x"], "--limit"),
    ],
)
def test_wrong_use_is_one_line_with_what_is_near(
    typed: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(typed) == failing.WRONG_USE
    (line,) = capsys.readouterr().err.splitlines()
    assert wanted in line


def test_the_list_of_commands_says_what_each_command_says_of_itself() -> None:
    for name, entry in ENTRIES.items():
        told = " ".join((load(name).help or "").split())
        assert told.startswith(entry.help), name


def walk(words: Sequence[str], command: Any) -> list[tuple[tuple[str, ...], Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        return [(tuple(words), command)]
    return [each for name, one in below.items() for each in walk((*words, name), one)]


COMMANDS = [each for name in ENTRIES for each in walk((name,), load(name))]


@pytest.mark.parametrize(("typed", "command"), COMMANDS, ids=[" ".join(typed) for typed, _ in COMMANDS])
def test_every_command_explains_itself_and_speaks_json(typed: tuple[str, ...], command: Any) -> None:
    options = {word for parameter in command.params for word in parameter.opts}
    assert "--json" in options
    assert command.help
    assert all(parameter.help for parameter in command.params if parameter.name != "help"), typed


def test_the_list_of_commands_imports_no_library_of_the_plant() -> None:
    heavy = ("numpy", "nats", "asyncua", "pymodbus", "structlog", "msgspec")
    code = "import sys; from plantops.cli.main import run; run(['--help']); " + (
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_names_are_whole_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    name = "plant.area." + "x" * 200
    table("2 tags", ("tag", "value"), [(name, "1"), ("b", "[red]2[/]")])
    assert capsys.readouterr().out.splitlines() == [
        "2 tags",
        "tag" + " " * 210 + "value",
        f"{name}  1",
        "b" + " " * 212 + "2",
    ]


def test_columns_stand_under_each_other() -> None:
    assert list(aligned("", ("a", "bb"), [("ccc", "d")])) == ["a    bb", "ccc  d"]


@pytest.mark.parametrize(
    ("value", "wanted"), [(None, "-"), (True, "on"), (False, "off"), (0.1 + 0.2, "0.3"), (7, "7"), ("x", "x")]
)
def test_values_are_shown_for_people(value: Scalar | None, wanted: str) -> None:
    assert shown(value) == wanted


@pytest.mark.parametrize(
    ("age", "wanted"), [(None, "never"), (0.04, "0.0 s"), (119, "119.0 s"), (121, "2 min"), (7300, "2 h")]
)
def test_ages_are_shown_for_people(age: float | None, wanted: str) -> None:
    assert seconds(age) == wanted


def test_what_is_near_is_proposed_whatever_its_case() -> None:
    assert did_you_mean("setspeed", ["StopPump", "SetSpeed"]) == " (did you mean 'SetSpeed'?)"
    assert did_you_mean("zzz", ["StopPump"]) == ""
