"""The server's side of signed messages, written from `docs/guides/delegated-operations.md` alone."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass

from plantops.simulation.delegate.http import Request, Response

_WINDOW_MS = 60_000


class Refusal(Exception):
    """The request is not signed by who may command here; the text is for the client."""


@dataclass(frozen=True)
class Asker:
    """Under which key and nonce a request came in."""

    key: str
    nonce: str


class Seals:
    """Judges requests and signs responses with the secrets of `keys`, by key id."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = dict(keys)
        self._seen: dict[str, int] = {}

    def judge(self, request: Request) -> Asker:
        """Who asks. Raises: Refusal."""
        parts = _parts(request.headers.get("plantops-signature", ""))
        key, moment, nonce, mac = (parts.get(name, "") for name in ("key", "time", "nonce", "mac"))
        if key not in self._keys or not moment.isdigit():
            raise Refusal("not signed, or with an unknown key")
        mode = "simulate" if request.headers.get("plantops-simulate") == "true" else "execute"
        told = (
            "plantops-request-v1",
            key,
            moment,
            nonce,
            request.method,
            request.target,
            request.headers.get("idempotency-key", ""),
            mode,
            hashlib.sha256(request.body).hexdigest(),
        )
        if not hmac.compare_digest(mac.encode(), self._mac(key, told).encode()):
            raise Refusal("the signature does not fit")
        now = _now_ms()
        if abs(now - int(moment)) > _WINDOW_MS:
            raise Refusal("the clocks differ")
        self._seen = {used: at for used, at in self._seen.items() if at > now - 2 * _WINDOW_MS}
        if nonce in self._seen:
            raise Refusal("that nonce was used")
        self._seen[nonce] = now
        return Asker(key, nonce)

    def sign(self, asker: Asker, response: Response) -> Response:
        """The response with its signature."""
        moment = str(_now_ms())
        told = (
            "plantops-response-v1",
            asker.key,
            moment,
            asker.nonce,
            str(response.status),
            response.headers.get("Location", ""),
            "simulate" if response.headers.get("PlantOps-Simulate") == "true" else "execute",
            hashlib.sha256(response.body).hexdigest(),
        )
        header = f"v1;key={asker.key};time={moment};nonce={asker.nonce};mac={self._mac(asker.key, told)}"
        return Response(response.status, response.body, {**response.headers, "PlantOps-Signature": header})

    def _mac(self, key: str, told: tuple[str, ...]) -> str:
        text = "\n".join(told).encode("latin-1")
        return hmac.new(self._keys[key].encode(), text, "sha256").hexdigest()


def _parts(header: str) -> dict[str, str]:
    version, *rest = header.split(";")
    if version != "v1":
        return {}
    return {name: value for name, _, value in (part.partition("=") for part in rest)}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
