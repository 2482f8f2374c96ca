"""Histories drawn by a seeded generator: what is drawn depends on the seed alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

from soak.clients import FLAWS, VOTE_FLAWS
from soak.ground import AGENT, ASSETS, PROFILES, PUMPS, SOURCES, STRANGER, VALVE
from soak.steps import Step

OPERATIONS: Final = ("Trim", "Trim", "SetSpeed", "SetSpeed", "Start", "Reset", "Reset", "Stop")
POINTS: Final = (
    "fetch",
    "look",
    "generation",
    "generation",
    "claimed-",
    "claimed+",
    "audit-",
    "audit+",
    "observe",
    "read-",
    "read+",
    "written",
    "executed-",
    "executed+",
    "failed-",
    "outcome_unknown-",
    "dry_run-",
    "dry_run+",
)
BAD_QUALITIES: Final = (216, 64, 0, 24, 20)
ACTS: Final = (
    "act-bypass",
    "act-bypass",
    "act-end-bypass",
    "act-cancel",
    "act-undo",
    "act-undo",
    "act-reconcile",
)
TIMES: Final = (0.1, 0.5, 1.0, 2.0, 4.0, 7.0)
OFFSETS: Final = (-1.0, -0.001, 0.0, 0.001, 0.6, 2.0)


def _flaw(random: Random, flaws: tuple[str, ...], often: float) -> str:
    return random.choice(flaws) if random.random() < often else ""


def _ask(random: Random) -> Step:
    asset = random.choice(ASSETS)
    operation = random.choice(OPERATIONS) if asset in PUMPS else random.choice(("Open", "Open", "Close"))
    if random.random() < 0.03:
        operation = random.choice(("Unheard", "Stop", "Close", "Open"))
    actor = random.choice(("alice", "alice", "alice", "dave", "dave", "dave", "bob", "erin", AGENT))
    if operation in ("Reset", "SetSpeed"):
        actor = random.choice(("alice", "alice", "dave"))
    flaw = _flaw(random, (*FLAWS, "old door", "unsigned"), 0.15)
    mode = "simulate" if random.random() < 0.08 else "execute"
    return ("ask", actor, asset, operation, _argument(random), flaw, mode)


def _argument(random: Random) -> list[Any]:
    if random.random() < 0.8:
        return [
            "by",
            random.choice((-300.0, -100.0, -20.0, 0.0, 20.0, 100.0, 299.0, 300.0, 301.0, 650.0, 705.0)),
        ]
    return random.choice(
        (
            ["be", 1500.0],
            ["be", 1501.0],
            ["be", 3000.5],
            ["be", -1.0],
            ["be", 5000],
            ["be", True],
            ["be", "fast"],
            ["be", 10],
            ["missing"],
            ["extra"],
            ["other"],
        )
    )


def _confirm(random: Random) -> Step:
    person = random.choice(("alice", "dave", "dave", AGENT)) if random.random() < 0.25 else ""
    flaws = ("words", "result", "forged", "old", "expired", "tampered", "unsigned")
    return ("confirm", _recent(random), person, _flaw(random, flaws, 0.12))


def _vote(random: Random) -> Step:
    person = random.choice(("bob", "bob2", "carol", "carol", "dave", "bob", "alice", "erin"))
    verdict = "reject" if random.random() < 0.08 else "approve"
    return ("vote", _recent(random), person, verdict, _flaw(random, (*VOTE_FLAWS, "other"), 0.12))


def _recent(random: Random) -> int:
    """Mostly the newest."""
    return 0 if random.random() < 0.75 else random.randrange(12)


def _plant(random: Random) -> Step:
    pump, is_well = random.choice(PUMPS), random.random() < 0.7
    quality = 192 if random.random() < 0.85 else random.choice(BAD_QUALITIES)
    match random.randrange(6):
        case 0:
            return ("plant", f"{pump}.local", False if is_well else random.choice((True, None, 0)), quality)
        case 1:
            return (
                "plant",
                f"{VALVE}.level",
                50.0 if is_well else random.choice((19.9, 20.0, "nan", None)),
                quality,
            )
        case 2:
            value = 500.0 if is_well else random.choice((0.0, 2999.0, "nan", None))
            return ("plant", f"{pump}.setpoint", value, quality)
        case _:
            hot = (69.9, 70.0, 70.1, 90.0, 90.1, 119.0, 121.0, "nan", None, "hot", True)
            return ("plant", f"{pump}.temperature", 50.0 if is_well else random.choice(hot), quality)


def _mend(random: Random) -> Step:
    """The plant comes to rest, so that something can be done again."""
    pump = random.choice(PUMPS)
    return random.choice(
        (
            ("plant", f"{pump}.temperature", 40.0, 192),
            ("plant", f"{pump}.local", False, 192),
            ("plant", f"{VALVE}.level", 60.0, 192),
            ("plant", f"{pump}.setpoint", 400.0, 192),
        )
    )


def _feed(random: Random) -> Step:
    return ("feed", random.choice(SOURCES), random.random() < 0.25)


def _wait(random: Random) -> Step:
    return ("wait", random.choice(TIMES) if random.random() < 0.93 else random.choice((16.0, 31.0, 100.0)))


def _until(random: Random) -> Step:
    return ("until", random.randrange(4), random.choice(OFFSETS))


def _false_ring(random: Random) -> Step:
    purpose = random.choice(("approval", "confirmation", "execution", "escalation", "bypass"))
    return ("false_ring", random.randrange(100), purpose, random.choice(("timer", "timer", STRANGER)))


def _policy(random: Random) -> Step:
    flaws = (
        "again",
        "same revision",
        "older",
        "jump",
        "previous",
        "expired",
        "not yet",
        "site",
        "signer",
        "unsigned",
    )
    return (
        "policy",
        random.choice(("base", "base", "base", "base", "base", *PROFILES)),
        _flaw(random, flaws, 0.4),
    )


def _trap(random: Random) -> Step:
    how = random.choice(("crash", "stall", "freeze"))
    return ("trap", random.choice(SOURCES), random.choice(POINTS), how)


def _process(random: Random) -> Step:
    source = random.choice(SOURCES)
    return random.choice(
        (
            ("gate_crash",),
            ("gate_snapshot",),
            ("gate_snapshot",),
            ("gate_twin",),
            ("gate_anew",),
            ("host_crash", source),
            ("host_takeover", source),
            ("keep_back", random.choice(("gate", *SOURCES))),
            ("shut", random.choice(("POLICY", "INTENTS", "APPROVALS", "COMMANDS", "TIMERS"))),
        )
    )


def _fault(random: Random) -> Step:
    return ("fault", random.choice(SOURCES), random.choice(("refuse", "lose", "away")))


def _attack(random: Random) -> Step:
    which = random.randrange(20)
    if random.random() < 0.4:
        return ("replay", random.choice(("INTENTS", "APPROVALS", "TIMERS")), which)
    signer = random.choice((STRANGER, AGENT, "alice", "adapter-plc1", "timer"))
    return ("forge", random.choice(("permit", "outcome", "dry run", "request")), which, signer)


def _act(random: Random) -> Step:
    name = random.choice(("act-lock", "act-unlock", "act-unlock", *ACTS, *ACTS))
    actor = random.choice(("alice", "dave", "bob", "erin", "carol"))
    if "bypass" in name and random.random() < 0.85:
        actor = "erin"
    if name in ("act-undo", "act-reconcile") and random.random() < 0.85:
        actor = random.choice(("alice", "dave"))
    flaw = _flaw(random, ("forged", "unsigned", "old", "expired", "tampered", "site"), 0.1)
    seconds = random.choice((2.0, 8.0, 10.0, 30.0, 60.0, 60.5))
    return ("act", actor, random.choice(PUMPS), name, _recent(random), seconds, flaw)


def _with_what_follows(random: Random) -> list[Step]:
    """An intent, and often what a person does next; anything may come between."""
    asked = _ask(random)
    follows: list[Step] = []
    if asked[3] == "SetSpeed":
        follows = _confirmed(random, "dave" if asked[1] == "alice" else "alice")
    elif asked[3] == "Reset":
        follows = _voted(random, asked[1])
    return [asked, *_amid(random, follows)]


def _confirmed(random: Random, other: str) -> list[Step]:
    """By who asked, by another person, with other words, or twice."""
    again = ("confirm", 6, "", "")
    match random.randrange(10):
        case 0 | 1:
            return [("confirm", 0, other, "")]
        case 2:
            return [("confirm", 0, "", "words")]
        case 3 | 4:
            return [("confirm", 0, "", ""), ("wait", 0.5), again]
        case 5:
            return [_confirm(random)]
    return [("confirm", 0, "", "")]


def _voted(random: Random, asker: str) -> list[Step]:
    """By two others; by one with two logins, by the asker, on other decisions, or too late."""

    def by(person: str, flaw: str = "") -> Step:
        return ("vote", 0, person, "approve", flaw)

    return random.choice(
        (
            [by("carol"), by("bob")],
            [by("bob"), by("carol")],
            [by("bob"), by("bob2")],
            [by("carol", "decision"), by("bob", "decision")],
            [by(asker), by("carol"), by(asker)],
            [by("carol", "brief"), ("wait", 4.0), by("bob")],
            [by("erin"), by("carol"), ("wait", 16.0), ("wait", 16.0), ("ring",), by("erin")],
            [("vote", 0, "carol", "reject", ""), by("bob"), by("carol")],
            [_vote(random) for _each in range(3)],
        )
    )


def _hung(random: Random) -> list[Step]:
    """Something happens while an executor hangs in the middle of a command; then it goes on."""
    asset = random.choice(ASSETS)
    source = "opc1" if asset == VALVE else "plc1"
    operation, stop = ("Open", "Close") if asset == VALVE else (random.choice(("Trim", "Start")), "Stop")
    point = random.choice(
        ("claimed+", "audit+", "read-", "read+", "generation", "generation", "look", "written", "claimed-")
    )
    how = random.choice(("stall", "freeze", "crash"))
    between: tuple[Step, ...] = (
        ("host_takeover", source),
        ("ask", "dave", asset, stop, ["by", 0.0], "", "execute"),
        ("act", "alice", asset, "act-lock", 0, 60.5, ""),
        ("act", "dave", asset, "act-cancel", 0, 60.5, ""),
        ("policy", "tight", ""),
        ("plant", "pump-1.temperature", 95.0, 192),
        ("ask", "dave", asset, operation, ["by", 1.0], "", "execute"),
        ("wait", 16.0),
        ("wait", 9.0),
        ("wait", 9.0),
        ("redeliver", source, 0),
        ("host_start", source),
    )
    return [
        ("host_start", source),
        ("trap", source, point, how),
        ("ask", random.choice(("alice", "dave")), asset, operation, ["by", 20.0], "", "execute"),
        *random.sample(between, random.choice((1, 1, 2, 3))),
        ("resume", source),
        ("host_start", source),
    ]


def _asked_act(random: Random) -> list[Step]:
    asked = _act(random)
    match asked[3]:
        case "act-bypass":
            hot: Step = ("plant", f"{asked[2]}.temperature", 130.0, 192)
            then = ("ask", "alice", asked[2], "Trim", ["by", 20.0], "", "execute")
            votes: list[Step] = [("vote", 0, each, "approve", "") for each in ("carol", "bob")]
            late: list[Step] = random.choice(([], [], [("wait", 9.0)], [("wait", 31.0)]))
            return [asked, *_amid(random, [*votes, hot, *late, then])]
        case "act-undo":
            return [asked, *_amid(random, [_confirm(random)])]
    return [asked]


def _amid(random: Random, steps: list[Step]) -> Iterator[Step]:
    """These steps, with others between them now and then."""
    for each in steps:
        while random.random() < 0.2:
            yield random.choice((_plant, _mend, _mend, _wait, _until, _process, _trap, _policy))(random)
        yield each


def _one(draw: Callable[[Random], Step]) -> Callable[[Random], list[Step]]:
    return lambda random: [draw(random)]


_DRAWS: Final[tuple[tuple[int, Callable[[Random], Step]], ...]] = (
    (30, _confirm),
    (60, _vote),
    (30, _plant),
    (70, _mend),
    (20, _feed),
    (90, _wait),
    (40, _until),
    (40, lambda _random: ("ring",)),
    (10, _false_ring),
    (9, _policy),
    (20, _trap),
    (30, lambda random: ("resume", random.choice(SOURCES))),
    (14, _process),
    (40, lambda random: ("host_start", random.choice(SOURCES))),
    (6, lambda _random: ("gate_wakes",)),
    (30, lambda _random: ("release",)),
    (14, lambda random: ("redeliver", random.choice(SOURCES), random.randrange(20))),
    (6, _fault),
    (12, lambda random: ("fault", random.choice(SOURCES), "back")),
    (4, lambda random: ("audit", random.random() < 0.3)),
    (14, _attack),
)


_LONGER: Final = ((170, _with_what_follows), (70, _asked_act), (30, _hung))


def drawn(seed: int, length: int) -> list[Step]:
    """The steps of an episode. It begins with a policy and both executors up."""
    random = Random(seed)
    weights = [weight for weight, _draw in (*_LONGER, *_DRAWS)]
    draws = [*(draw for _weight, draw in _LONGER), *(_one(draw) for _weight, draw in _DRAWS)]
    steps: list[Step] = [("policy", "base", ""), *(("host_start", source) for source in SOURCES)]
    while len(steps) < length:
        steps += random.choices(draws, weights)[0](random)
    return steps[:length]
