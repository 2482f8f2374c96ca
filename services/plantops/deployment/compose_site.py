"""What a site folder says otherwise when compose.yaml runs it, and the files that its other containers need.

Addresses are names on the networks of compose.yaml; device passwords are files, one for each container.

secrets/<name>            one secret a file: device, MQTT and Grafana passwords
mosquitto/passwd, access  the MQTT password as mosquitto stores it; what each user may read and write
simulation/server.*       certificate and key of the simulated OPC UA server
gateway/                  hashes of the keys of machines, once there are some
sources/opc1.der          the same certificate, which its adapter pins
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import shutil
from pathlib import Path
from typing import Final

from plantops.deployment.folder import SiteFolder
from plantops.simulation.certificate import application_certificate
from plantops.simulation.opcua_map import APPLICATION_URI

MQTT_USER: Final = "plantops"
ALL: Final = "topic readwrite #"
PASSWORDS: Final = ("opc1-password", "mqtt-password", "grafana-password")
# OWASP's number for PBKDF2 with SHA-512; mosquitto itself would take 101.
_ITERATIONS: Final = 210_000

# File -> what stands in the demo's template, and what stands there for containers.
_LINES: Final = {
    "plantops.toml": (
        (
            'url = ""              # empty: the embedded server; else nats://host:port of your own',
            'url = "nats://127.0.0.1:4222"   # as this host reaches it; containers have PLANTOPS_BROKER_URL',
        ),
        (
            "[simulation]\nenabled = true",
            "[simulation]\nenabled = false       # compose.yaml runs it as a service of its own",
        ),
        ("counters = 8 ", "control_port = 8700   # where this host reaches its control port\ncounters = 8 "),
    ),
    "sources/plc1.toml": (
        ('host = "127.0.0.1"', 'host = "simulation"   # the service of compose.yaml; your PLC\'s address'),
        ("port = 502            # the simulated plant's port is put in by `plantops up`", "port = 5020"),
    ),
    "sources/opc1.toml": (
        (
            'endpoint_url = "opc.tcp://127.0.0.1:4840"   # the simulated plant\'s address is put in by '
            "`plantops up`",
            'endpoint_url = "opc.tcp://simulation:4840/plantops"   # the service of compose.yaml\n'
            'server_certificate = "/site/sources/opc1.der"          # as the container sees it',
        ),
        ('password = "secret:opc1"', 'password = "file:secrets/opc1-password"'),
    ),
}


def lay_out(folder: SiteFolder) -> None:
    """Turn a fresh copy of the demo's files into one for containers; the policy is not signed yet."""
    for name, changes in _LINES.items():
        path = folder.root / name
        text = path.read_text()
        for before, after in changes:
            assert text.count(before) == 1, f"the template {name} has changed: {before!r}"
            text = text.replace(before, after)
        path.write_text(text)
    passwords = {name: secrets.token_urlsafe(18) for name in PASSWORDS}
    private = folder.root / "secrets"
    private.mkdir(mode=0o700)
    for name, password in passwords.items():
        _write_private(private / name, password)
    mosquitto = folder.root / "mosquitto"
    mosquitto.mkdir(mode=0o700)
    _write_private(mosquitto / "passwd", f"{MQTT_USER}:{mosquitto_hash(passwords['mqtt-password'])}")
    _write_private(
        mosquitto / "access", f"# Whoever is not named here may do nothing.\nuser {MQTT_USER}\n{ALL}"
    )
    (folder.root / "gateway").mkdir(mode=0o700)
    made = application_certificate(folder.root / "simulation", "server", APPLICATION_URI)
    shutil.copyfile(made.certificate, folder.root / "sources" / "opc1.der")


def mosquitto_hash(password: str) -> str:
    """What mosquitto 2 keeps of a password: $7$, PBKDF2 with SHA-512."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    return f"$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
