"""Who speaks: the delegate's key in a request, and the proof that its holder answered."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from plantops.adapters.contract import Secrets
from plantops.adapters.delegate.config import DelegateSettings
from plantops.runtime.errors import DeviceProtocolError, TrustError
from plantops.runtime.http_signing import (
    SignedRequest,
    SignedResponse,
    SigningKey,
    sign_request,
    verify_response,
)


@dataclass(frozen=True, slots=True)
class Seal:
    """The signature that went out; `accept` takes only a response that fits it, without a key any."""

    key: SigningKey | None
    nonce: str = ""
    header: str = ""

    def accept(self, header: str | None, response: SignedResponse) -> None:
        """Raises: DeviceProtocolError when anybody else than the delegate may have written the response."""
        if self.key is None:
            return
        try:
            verify_response(self.key, header, response, nonce=self.nonce)
        except TrustError as error:
            raise DeviceProtocolError(
                f"the delegate's answer (status {response.status}) cannot be believed: {error.message}. "
                "Compare key_id, secret and the clocks"
            ) from error


def key_of(settings: DelegateSettings, resolve: Secrets) -> SigningKey | None:
    """None for an unsigned delegate. Raises: SettingsError."""
    return SigningKey(settings.key_id, resolve(settings.secret)) if settings.key_id else None


def seal(key: SigningKey | None, request: SignedRequest) -> Seal:
    """A signature with a nonce of its own and the time of now."""
    if key is None:
        return Seal(None)
    signature = sign_request(key, request, time_ms=time.time_ns() // 1_000_000, nonce=secrets.token_hex(16))
    return Seal(key, signature.nonce, str(signature))
