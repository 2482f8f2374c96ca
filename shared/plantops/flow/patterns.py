"""Subject patterns of NATS: `*` stands for one token, `>` for one or more at the end."""

from __future__ import annotations


def covers(wide: str, narrow: str) -> bool:
    """Whether every subject that `narrow` matches is matched by `wide` too."""
    wide_tokens, narrow_tokens = wide.split("."), narrow.split(".")
    for index, part in enumerate(wide_tokens):
        if part == ">":
            return len(narrow_tokens) > index
        if index >= len(narrow_tokens) or narrow_tokens[index] == ">":
            return False
        if part not in ("*", narrow_tokens[index]):
            return False
    return len(narrow_tokens) == len(wide_tokens)


def overlaps(one: str, other: str) -> bool:
    """Whether some subject is matched by both patterns."""
    left, right = one.split("."), other.split(".")
    for first, second in zip(left, right, strict=False):
        if ">" in (first, second):
            return True
        if first != second and "*" not in (first, second):
            return False
    return len(left) == len(right)
