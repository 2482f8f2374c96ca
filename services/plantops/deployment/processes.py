"""The processes of a site, by name."""

from __future__ import annotations

from plantops.adapters.host.process import process_name
from plantops.archive.specs import ARCHIVE
from plantops.audit.specs import WITNESS
from plantops.deployment.place import Place


def process_names(site: Place) -> tuple[str, ...]:
    """All processes that run, in the order in which they start."""
    return (
        "notary",
        WITNESS,
        "twin",
        "gate",
        "timer",
        *(process_name(source) for source in site.settings.sources),
        ARCHIVE,
    )
