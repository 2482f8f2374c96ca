"""The processes of a site, by name."""

from __future__ import annotations

from plantops.adapters.host.process import process_name
from plantops.agent.specs import AGENT_HOST
from plantops.archive.specs import ARCHIVE
from plantops.audit.specs import WITNESS
from plantops.deployment.place import Place
from plantops.gateway.specs import GATEWAY
from plantops.tools.specs import TOOLS


def process_names(site: Place) -> tuple[str, ...]:
    """All processes that run, in the order in which they start."""
    settings = site.settings
    wanted = {
        TOOLS: settings.tools.enabled,
        AGENT_HOST: settings.agent.enabled,
        GATEWAY: settings.gateway.enabled,
    }
    return (
        "notary",
        WITNESS,
        "twin",
        "gate",
        "timer",
        *(process_name(source) for source in settings.sources),
        ARCHIVE,
        *(name for name, is_wanted in wanted.items() if is_wanted),
    )
