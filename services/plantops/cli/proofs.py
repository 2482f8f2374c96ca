"""Verification and damage, shared by `plantops audit` and the demo."""

from pathlib import Path

from plantops.deployment.site import Site


async def verify_all(site: Site) -> None: ...
async def export_and_damage(site: Site, folder: Path) -> None: ...
