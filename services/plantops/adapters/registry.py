"""All adapters, one line each."""

from __future__ import annotations

from importlib import import_module

from plantops.adapters.contract import AdapterSpec
from plantops.runtime.errors import SettingsError

ADAPTERS: dict[str, str] = {
    "delegate": "plantops.adapters.delegate",
    "modbus": "plantops.adapters.modbus",
    "opcua": "plantops.adapters.opcua",
}


def adapter(name: str) -> AdapterSpec:
    """The adapter called `name`, imported when first asked for.

    Raises: SettingsError with the list of names when there is none.
    """
    if name not in ADAPTERS:
        raise SettingsError(
            f"no adapter {name!r}; there are: {', '.join(sorted(ADAPTERS))}", setting="adapter"
        )
    spec = import_module(ADAPTERS[name]).SPEC
    assert isinstance(spec, AdapterSpec)
    return spec
