"""What an executor says fits into what the stream takes, whatever the device answered. Pure.

A word that cannot be stored would end this process, and end it again after each start with the same word in
its journal; the stops of its sources with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from plantops.adapters.host import course
from plantops.events import Event
from plantops.events.base import Scalar, encode_json
from plantops.events.command_parts import ObservedInput, StepResult
from plantops.events.commands import CommandExecuted, CommandFailed, DryRunDone
from plantops.events.governance import CommandReconciled

# What the stream takes is 256 KiB with headers.
MAX_WORD_BYTES: Final = 240 * 1024
_LONG_TEXT: Final = 256


def bounded_outcome(final: course.Final) -> course.Final:
    """The same where it fits, which is nearly always.

    Else without the long texts that were read from the device (no value, never a shorter one), without what
    a delegate returned, and without a way back, which would have to hold such texts.
    """
    if _fits(final):
        return final
    steps = tuple(_short(step) for step in final.steps)
    if isinstance(final, CommandExecuted):
        return msgspec.structs.replace(final, steps=steps, undo=(), outputs={})
    if isinstance(final, CommandFailed):
        back = tuple(_short(step) for step in final.compensation)
        return msgspec.structs.replace(final, steps=steps, undo=(), compensation=back)
    return msgspec.structs.replace(final, steps=steps)


def bounded_dry_run(done: DryRunDone) -> DryRunDone:
    """The same where it fits; else a no, since nobody could be shown what would happen."""
    if _fits(done):
        return done
    problem = f"more than {MAX_WORD_BYTES} bytes were read or answered, which cannot be told"
    return DryRunDone(site=done.site, command=done.command, ok=False, problem=problem)


def bounded_reconciled(word: CommandReconciled) -> CommandReconciled:
    """The same where it fits; else without the long texts that were found."""
    return word if _fits(word) else msgspec.structs.replace(word, found=_without_texts(word.found))


def _fits(event: Event) -> bool:
    return len(encode_json(event)) <= MAX_WORD_BYTES


def _short(step: StepResult) -> StepResult:
    return msgspec.structs.replace(
        step, before=_told(step.before), read_back=_told(step.read_back), problem=step.problem[:_LONG_TEXT]
    )


def _without_texts(found: Sequence[ObservedInput]) -> tuple[ObservedInput, ...]:
    return tuple(
        one
        if _told(one.value) is one.value
        else msgspec.structs.replace(one, value=None, note="a text too long to be told")
        for one in found
    )


def _told(value: Scalar | None) -> Scalar | None:
    return None if isinstance(value, str) and len(value) > _LONG_TEXT else value
