"""Everything that can be told of language models: the table `[agent.model]` of the site file."""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from plantops.runtime.errors import SettingsError
from plantops.runtime.kinds import SecretReference
from plantops.runtime.parts import Part

Provider: TypeAlias = Literal["rules", "anthropic", "openai", "recorded"]
_Seconds = Annotated[float, Meta(gt=0)]
_Count = Annotated[int, Meta(ge=1)]
_Price = Annotated[float, Meta(ge=0)]


class PriceSettings(Part, frozen=True):
    """What a model costs, in USD for a million tokens. `cached` is the price of input that the provider had
    still in mind, `cache_write` of input that it was told to keep; None: as other input."""

    input: _Price
    output: _Price
    cached: _Price | None = None
    cache_write: _Price | None = None


class RetrySettings(Part, frozen=True):
    """How a reply is tried again: after a pause that doubles from `first_seconds`, at most `most_seconds`, of
    which a random part up to half is left out. `tries` counts the first one."""

    tries: Annotated[int, Meta(ge=1, le=10)] = 3
    first_seconds: _Seconds = 0.5
    most_seconds: _Seconds = 8.0


class BreakerSettings(Part, frozen=True):
    """When a provider is left alone: after `failures` in a row, time-outs among them, for `open_seconds`;
    then `probes` calls at a time are let through, until `successes` of them in a row close it."""

    failures: _Count = 5
    open_seconds: _Seconds = 30.0
    probes: _Count = 1
    successes: _Count = 2


class ModelSettings(Part, frozen=True):
    """Who answers. `rules` needs nothing and is the default.

    `model` is the provider's name of a model, as it stands in its documents; there is no default, since it
    decides what is paid. `key` names a secret (`secret:NAME`, `file:PATH` or `env:NAME`); a local server
    may do without. `base_url` is for other servers than the maker's. `try_seconds` bounds one try from the
    call to its last token, `connect_seconds` the first step of it. `max_tokens` bounds a reply beside what
    a turn allows. `most_tools` is how many tools are offered by search, 0 for all. `strict`: the provider
    is held to the schema of operations; the default None is: yes, but for other servers than the maker's.
    `fall_back`: when the provider does not answer, the rules do. `prices` are by model. `recordings` is the
    folder of `recorded`; beside another provider, replies are recorded there.
    """

    provider: Provider = "rules"
    model: str = ""
    key: SecretReference = ""
    base_url: str = ""
    try_seconds: _Seconds = 30.0
    connect_seconds: _Seconds = 5.0
    max_tokens: _Count = 4096
    most_tools: Annotated[int, Meta(ge=0, le=128)] = 24
    concurrency: Annotated[int, Meta(ge=1, le=256)] = 8
    strict: bool | None = None
    fall_back: bool = True
    retry: RetrySettings = RetrySettings()
    breaker: BreakerSettings = BreakerSettings()
    prices: dict[str, PriceSettings] = {}
    recordings: str = ""

    @property
    def is_strict(self) -> bool:
        """What `strict` comes to."""
        return not self.base_url if self.strict is None else self.strict

    def __post_init__(self) -> None:
        """Raises: SettingsError when something is missing, or would never be used."""
        if self.provider in ("anthropic", "openai") and not self.model:
            raise _wrong("model", f"provider {self.provider!r} needs the name of a model")
        if self.provider == "anthropic" and not self.key:
            raise _wrong("key", "provider 'anthropic' needs a key, such as secret:anthropic")
        if self.provider == "openai" and not (self.key or self.base_url):
            raise _wrong("key", "provider 'openai' needs a key, or the base_url of a server that wants none")
        if self.provider == "recorded" and not self.recordings:
            raise _wrong("recordings", "provider 'recorded' needs the folder of its recordings")
        if self.provider == "rules" and (self.model or self.key or self.base_url or self.recordings):
            raise _wrong("provider", "'rules' takes no model, key, base_url or recordings: name a provider")
        if self.base_url and not self.base_url.startswith(("https://", "http://")):
            raise _wrong("base_url", f"{self.base_url!r} is no address: begin with https:// or http://")
        prices = [price for one in self.prices.values() for price in (one.input, one.output)]
        if not all(map(math.isfinite, prices)):
            raise _wrong("prices", "a price must be a finite number")


def _wrong(key: str, text: str) -> SettingsError:
    place = f"agent.model.{key}"
    return SettingsError(f"{place}: {text}", setting=place)
