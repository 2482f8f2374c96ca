"""How much an intent may say: what comes of it has to fit into the events of its life."""

from __future__ import annotations

from operator import gt

from plantops.events.command_parts import Intent
from plantops.policy.arguments import is_writable_down
from plantops.runtime.errors import Refused

MAX_ARGUMENTS = 64
MAX_CHAIN = 8
MAX_DERIVED = 64
MAX_NAME = 256
MAX_TEXT = 4096
# An outcome repeats a text six times (permit, write, before, read back, undo, decision) within 256 KiB.
MAX_TEXTS = 24 * 1024


def check_size(intent: Intent) -> None:
    """Each argument and each name becomes a finding of the decision, and that has to fit into one event.

    Raises: Refused.
    """
    bounds = (MAX_ARGUMENTS, MAX_CHAIN, MAX_DERIVED)
    if any(map(gt, map(len, (intent.arguments, intent.on_behalf_of, intent.derived_from)), bounds)):
        raise Refused(
            f"at most {bounds} arguments, names in the chain and names of what it rests on are taken",
            reason="too_large",
        )
    texts = (
        *intent.arguments,
        *intent.on_behalf_of,
        *intent.derived_from,
        intent.key,
        intent.nonce,
        intent.confirms,
        intent.model,
        intent.simulation,
    )
    values = [value for value in intent.arguments.values() if isinstance(value, str)]
    if sum(len(text.encode()) for text in (*values, *intent.arguments)) > MAX_TEXTS:
        raise Refused(
            f"arguments of at most {MAX_TEXTS} bytes of text are taken together", reason="too_large"
        )
    if any(len(text) > MAX_NAME for text in texts) or any(len(value) > MAX_TEXT for value in values):
        raise Refused(
            f"names of at most {MAX_NAME} and texts of at most {MAX_TEXT} characters are taken",
            reason="too_large",
        )
    for name, value in intent.arguments.items():
        if not is_writable_down(value):
            raise Refused(f"{name} is no finite number of at most 64 bit", reason="malformed")
