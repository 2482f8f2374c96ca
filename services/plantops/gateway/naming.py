"""Operations by their plain names, as TwinOps has them: `SetSpeed`, and beside it the asset that is meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from plantops.events.tooling import operation_name
from plantops.model.load import Plant


class Named(NamedTuple):
    """`asset` is "" for a tool that is no operation of the model here: it keeps its own name."""

    tool: str
    asset: str = ""


class Names:
    """What the tools of the operations are called."""

    def __init__(self, operations: Mapping[str, Named]) -> None:
        self._operations = operations

    @classmethod
    def of(cls, plant: Plant) -> Names:
        """All operations of a model. A site has one for each operation of each asset: look them up once."""
        return cls(
            {
                operation_name(asset_name, name): Named(name, asset_name)
                for asset_name, asset in plant.model.assets.items()
                for name in asset.operations
            }
        )

    def plain(self, tool: str) -> Named:
        """`pump-001__SetSpeed` is `SetSpeed` of `pump-001`."""
        return self._operations.get(tool) or Named(tool)
