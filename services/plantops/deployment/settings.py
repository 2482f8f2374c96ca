"""The site file, `plantops.toml`: which sources there are, where the broker is, how processes are grouped."""

from __future__ import annotations

from plantops.agent.settings import AgentSettings
from plantops.archive.settings import ArchiveSettings
from plantops.gateway.settings import GatewaySettings
from plantops.runtime.parts import Part
from plantops.runtime.tracing import TraceSettings
from plantops.tools.settings import ToolSettings


class Broker(Part, frozen=True):
    """Where NATS is. An empty `url` means the embedded server on `port` (0: a free one, told in run/).

    `PLANTOPS_BROKER_URL` is another name of the variable for `url`. `ca` is a file in the site folder:
    who signed the certificate of a broker at tls://.
    """

    url: str = ""
    ca: str = ""
    port: int = 4222
    monitor_port: int = 8222
    replicas: int = 1
    tags_max_age_hours: float = 72.0
    tags_max_gigabytes: float = 8.0


class Simulation(Part, frozen=True):
    """The simulated plant that `plantops up` starts beside the processes; ports 0 are free ones."""

    enabled: bool = False
    seed: int = 1
    modbus_port: int = 0
    opcua_port: int = 0
    control_port: int = 0
    counters: int = 8


class SiteSettings(Part, frozen=True):
    """The whole file.

    `sources` maps a source's name to its file, relative to the site folder. `groups` says which processes
    share an operating-system process under `plantops up` (by trust and blast radius); what it does not
    name runs alone. `adapter-*` stands for all adapters. `gates` is how often `plantops up` starts the
    group of the gate: one of them is at work, the others take over within a second when it ends.
    """

    site: str
    model: str = "model.toml"
    sources: dict[str, str] = {}
    broker: Broker = Broker()
    simulation: Simulation = Simulation()
    archive: ArchiveSettings = ArchiveSettings()
    tools: ToolSettings = ToolSettings()
    agent: AgentSettings = AgentSettings()
    gateway: GatewaySettings = GatewaySettings()
    traces: TraceSettings = TraceSettings()
    groups: dict[str, tuple[str, ...]] = {}
    gates: int = 1
    log_level: str = "info"
