"""The commands by name. A command's module is imported when it is used: the list of them needs none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `plantops --help`; `help` is the first sentence of the command's own."""

    module: str
    panel: str
    help: str


def _entries(panel: str, lines: Mapping[str, tuple[str, str]]) -> dict[str, Entry]:
    return {name: Entry(f"plantops.cli.{module}", panel, line) for name, (module, line) in lines.items()}


ENTRIES: Final = {
    **_entries(
        "Start",
        {
            "up": ("up", "Start everything: broker, processes and, for the demo site, the simulated plant."),
            "demo": ("demo", "Tell a newcomer what PlantOps does, on real protocols and a real broker."),
            "init": ("initialise", "Make a site: files, a folder of keys per process, a first policy."),
            "config": ("configuration", "Show and check what plantops.toml and the environment say."),
            "doctor": ("doctor", "Check the installation, the site folder, the disk and what runs."),
            "loadtest": (
                "loadtest",
                "Load the gateway with one request many times at once: rate, percentiles, errors.",
            ),
            "run": ("running", "Run single processes of a site in the foreground."),
            "provision": (
                "provisioning",
                "Make streams and consumers on the site's broker, and publish the signed policy.",
            ),
            "nats-config": (
                "provisioning",
                "Write the configuration of a NATS server of your own: accounts, logins, rights.",
            ),
        },
    ),
    **_entries(
        "Look",
        {
            "status": ("status", "Show processes, sources and open commands."),
            "tags": ("tags", "List tags with value, quality and age, as the twin knows them."),
            "read": ("tags", "Read tags from their device now, past twin and history."),
            "commands": ("commands", "List commands, the newest first."),
            "tool": ("tools", "List, search and call the tools that agents and HTTP use."),
            "query": (
                "query",
                "Ask the archive with SQL, or with a ready question: who commanded what, and why?",
            ),
            "export": ("export", "Write the archive as Parquet, CSV or DuckDB, with a manifest of hashes."),
        },
    ),
    **_entries(
        "Act",
        {
            "ask": ("asking", "Ask the agent in plain words, and follow its answer."),
            "command": ("commands", "Ask for an operation, signed, and follow each step."),
            "approvals": ("approvals", "List what waits for a second person."),
            "lock": ("acts", "Lock an asset out with your own lock: only stops go on."),
            "unlock": ("acts", "Take a lock off: your own, or with a second person somebody else's."),
            "bypass": ("acts", "Let a permissive not count for a time; somebody else must approve."),
            "end-bypass": ("acts", "End a bypass before its time."),
            "holds": ("acts", "List the lock-outs and bypasses in force."),
            "approve": ("approvals", "Approve a command that somebody else asked for."),
            "reject": ("approvals", "Reject a command that waits."),
        },
    ),
    **_entries(
        "Trust",
        {
            "policy": ("policies", "Write, sign, verify and publish what is allowed."),
            "identity": ("identities", "Keys of persons and of new sources."),
            "audit": ("audit", "Prove what happened."),
            "witness": (
                "witnessing",
                "Witness a log from its exports, on a machine that nobody of the site can reach.",
            ),
            "replay": ("replay", "Make the archive again from the log, and print what each table holds."),
            "gateway": ("gateway_keys", "API keys of machines that ask over HTTP."),
            "secret": ("secrets", "The encrypted store for device passwords."),
        },
    ),
}


def load(name: str) -> Any:
    """The command or group called `name`, with its module imported."""
    module = import_module(ENTRIES[name].module)
    app: typer.Typer | None = getattr(module, "app", None)
    if app is not None:
        app.info.name = name
        return typer.main.get_group(app)
    several = typer.Typer(add_completion=False)
    module.register(several)
    return typer.main.get_group(several).commands[name]


class _Loaded(MutableMapping[str, Any]):
    """Looks like a dictionary of commands, which imports what is looked up."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            if name not in ENTRIES:
                raise KeyError(name)
            self._known[name] = load(name)
        return self._known[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError("commands are not removed")

    def __iter__(self) -> Iterator[str]:
        return iter(ENTRIES)

    def __len__(self) -> int:
        return len(ENTRIES)

    def __contains__(self, name: object) -> bool:
        return name in ENTRIES


class Commands(TyperGroup):
    """All commands of `ENTRIES`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Loaded()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(ENTRIES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """What the list of commands shows of one."""
        entry = ENTRIES.get(cmd_name)
        if entry is None:
            return None
        return TyperCommand(cmd_name, help=entry.help, rich_help_panel=entry.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that was typed, ready to run. Raises: a usage error with the nearest names."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, self.commands[name] if name and command else None, rest
