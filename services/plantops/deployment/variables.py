"""Every environment variable that means something here: those of settings, and those that are none."""

from __future__ import annotations

from typing import Final

from plantops.deployment.settings import SiteSettings
from plantops.runtime.variables import Variables

BROKER_URL: Final = "PLANTOPS_BROKER_URL"
"""Where a container reaches the broker that the site file knows by its address on the host."""

# Name -> what it says; beside the settings, which the environment may say instead of the file.
OTHERS: Final = {
    "PLANTOPS_API_KEY": "what `loadtest` sends as `X-API-Key`",
    "PLANTOPS_DEBUG": "1: errors with a traceback, and what the command line logs",
    "PLANTOPS_FOLDER": "the site folder, as `--folder`",
    "PLANTOPS_HEARTBEAT": "the file that a process renews while it is well, as `run --heartbeat`",
    "PLANTOPS_PASSPHRASE": "the passphrase of the store of secrets",
    "PLANTOPS_PASSPHRASE_FILE": "the file with that passphrase, instead of `keys/secrets.passphrase`",
    "PLANTOPS_PLANT": "where `demo --against` reaches the control port of the simulated plant, as `--plant`",
    "PLANTOPS_SIMULATION_PASSWORD": "the password that the simulated OPC UA server wants",
    "PLANTOPS_STATE": "the folder in which verifiers remember the logs that they have seen",
    "PLANTOPS_USER": "the person who acts, as `--as`",
}
# Read by compose.yaml and compose.prod.yaml, not by a process; they may stand in the same environment.
COMPOSE: Final = {
    "PLANTOPS_BIND": "the address on which the host listens, with `compose.prod.yaml`",
    "PLANTOPS_GID": "the group that containers run as",
    "PLANTOPS_GRAFANA_IMAGE": "the image of Grafana",
    "PLANTOPS_GRAFANA_INSTALL": "the plug-ins that Grafana installs",
    "PLANTOPS_GRAFANA_PORT": "the port of Grafana on the host",
    "PLANTOPS_HTTP_PORT": "the port of the gateway on the host",
    "PLANTOPS_IMAGE": "the image of all our services",
    "PLANTOPS_MQTT_PORT": "the port of mosquitto on the host",
    "PLANTOPS_NATS_PORT": "the port of NATS on the host",
    "PLANTOPS_PLANT_PORT": "the control port of the simulated plant on the host",
    "PLANTOPS_SITE": "the site folder on the host",
    "PLANTOPS_UID": "the user that containers run as",
}
# The tests' own.
_TESTS: Final = ("PLANTOPS_GRAFANA_PLUGIN",)

VARIABLES: Final = Variables(
    SiteSettings,
    short={BROKER_URL: ("broker", "url")},
    others=(*OTHERS, *COMPOSE, *_TESTS),
    # A site's name stands in its signed policy and on its streams: another one would be another site.
    fixed=("site",),
)
