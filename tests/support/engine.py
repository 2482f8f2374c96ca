"""A container engine, if this machine has one; without it, what needs one is skipped with the reason."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator

import pytest

from layout.repository import ROOT

IMAGE = "plantops:test"
BASES = ("python:3.13-slim", "nats:2.15-alpine", "eclipse-mosquitto:2")
BUILD_SECONDS = 500
PULL_SECONDS = 120


def docker(*words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """One command of the engine's client, to its end."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=timeout)


def why_not() -> str:
    """Why no container can run here; empty when one can."""
    try:
        for words in (("compose", "version"), ("info",)):
            asked = docker(*words)
            if asked.returncode != 0 or "ERROR" in asked.stdout:
                return f"`docker {' '.join(words)}` says: {(asked.stderr or asked.stdout).strip()[-200:]}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no container engine can be asked here: {error}"
    return ""


def _missing() -> str:
    for image in BASES:
        if docker("image", "inspect", image).returncode != 0:
            pulled = docker("pull", "-q", image, timeout=PULL_SECONDS)
            if pulled.returncode != 0:
                return f"the image {image} cannot be had here: {pulled.stderr.strip()[-200:]}"
    return ""


@pytest.fixture(scope="session")
def compose_plugin() -> None:
    """Reading compose files needs the plug-in, and no engine."""
    try:
        asked = docker("compose", "version")
    except OSError as error:
        pytest.skip(f"no docker client is installed here: {error}")
    if asked.returncode != 0:
        pytest.skip(f"the client has no compose plug-in: {asked.stderr.strip()}")


@pytest.fixture(scope="session")
def engine() -> None:
    """Containers of the images that compose.yaml names can run."""
    if reason := why_not() or _missing():
        pytest.skip(f"no containers: {reason}")


@pytest.fixture(scope="session")
def image(engine: None) -> str:
    """The image of this work tree; its layers stay in the engine's cache."""
    built = docker("build", "-q", "-t", IMAGE, str(ROOT), timeout=BUILD_SECONDS)
    assert built.returncode == 0, built.stderr
    return IMAGE


@pytest.fixture(scope="session")
def project() -> Iterator[str]:
    """A name of this run alone; whatever bears it is gone at the end."""
    name = f"plantops-test-{uuid.uuid4().hex[:8]}"
    yield name
    for project in (name, f"{name}-prod"):
        _remove_all(project)


def _remove_all(project: str) -> None:
    """What a test that was interrupted may have left."""
    label = f"label=com.docker.compose.project={project}"
    for kind, ask, remove in (
        ("containers", ("ps", "-aq"), ("rm", "-fv")),
        ("networks", ("network", "ls", "-q"), ("network", "rm")),
        ("volumes", ("volume", "ls", "-q"), ("volume", "rm", "-f")),
    ):
        left = docker(*ask, "--filter", label).stdout.split()
        if left:
            gone = docker(*remove, *left)
            assert gone.returncode == 0, f"{kind} are left: {gone.stderr}"
