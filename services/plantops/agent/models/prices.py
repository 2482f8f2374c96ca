"""What a reply used, and what that costs by the configured prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from plantops.agent.models.settings import PriceSettings
from plantops.events.conversation import Usage

_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Tokens:
    """As a provider counts them. `input` is all of it: `cached` and `written` (into its cache) are parts."""

    input: int = 0
    output: int = 0
    cached: int = 0
    written: int = 0


def usage_of(tokens: Tokens, model: str, prices: Mapping[str, PriceSettings]) -> Usage:
    """The usage with its cost; 0 USD for a model without a price, whose tokens are counted all the same."""
    price = prices.get(model)
    cost = 0.0
    if price is not None:
        plain = max(0, tokens.input - tokens.cached - tokens.written)
        cached = price.input if price.cached is None else price.cached
        written = price.input if price.cache_write is None else price.cache_write
        cost = (
            plain * price.input
            + tokens.cached * cached
            + tokens.written * written
            + tokens.output * price.output
        ) / _MILLION
    return Usage(
        input_tokens=tokens.input, output_tokens=tokens.output, cached_tokens=tokens.cached, cost=cost
    )
