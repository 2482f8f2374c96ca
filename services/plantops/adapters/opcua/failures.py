"""What asyncua raises, told in this project's errors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from asyncua import ua
from asyncua.common.utils import ServiceError

from plantops.adapters.opcua.status import code_name
from plantops.runtime.errors import DeviceProtocolError, DeviceUnavailable, SettingsError

_CREDENTIALS = frozenset(
    (
        ua.StatusCodes.BadUserAccessDenied,
        ua.StatusCodes.BadIdentityTokenInvalid,
        ua.StatusCodes.BadIdentityTokenRejected,
        ua.StatusCodes.BadUserSignatureInvalid,
    )
)
_OUR_CERTIFICATE = frozenset(
    getattr(ua.StatusCodes, name)
    for name in dir(ua.StatusCodes)
    if name.startswith("BadCertificate")
    or name in ("BadSecurityChecksFailed", "BadSecurityPolicyRejected", "BadSecurityModeRejected")
)
_TOO_MUCH_AT_ONCE = frozenset(
    (
        ua.StatusCodes.BadTooManyOperations,
        ua.StatusCodes.BadRequestTooLarge,
        ua.StatusCodes.BadResponseTooLarge,
        ua.StatusCodes.BadTcpMessageTooLarge,
        ua.StatusCodes.BadEncodingLimitsExceeded,
    )
)


@contextmanager
def while_connecting(source: str, endpoint: str) -> Iterator[None]:
    """Translate what goes wrong before the session stands.

    Raises: SettingsError when the server refuses user or certificate, DeviceUnavailable for all else.
    """
    try:
        yield
    except (ua.UaStatusCodeError, ServiceError) as error:
        raise _refused(source, endpoint, int(error.code)) from error
    except AssertionError as error:
        # asyncua asserts that the channel was opened; a server that distrusts us just hangs up.
        raise DeviceUnavailable(
            f"{endpoint} broke off while the secure channel was opened: does it trust our certificate?",
            source=source,
        ) from error
    except TimeoutError as error:
        raise DeviceUnavailable(f"{endpoint} did not answer in time", source=source) from error
    except (OSError, asyncio.IncompleteReadError, ua.UaError) as error:
        raise DeviceUnavailable(f"{endpoint} cannot be reached: {error}", source=source) from error


@contextmanager
def while_connected(source: str, action: str) -> Iterator[None]:
    """Translate what goes wrong in a session.

    Raises: DeviceUnavailable when no answer came, DeviceProtocolError for one that makes no sense,
    SettingsError when the server does not take as much in one call as the settings allow.
    """
    try:
        yield
    except (ua.UaStatusCodeError, ServiceError) as error:
        raise _failed(source, action, int(error.code)) from error
    except TimeoutError as error:
        raise DeviceUnavailable(f"{action} failed: no answer in time", source=source) from error
    except OSError as error:
        raise DeviceUnavailable(f"{action} failed: {error}", source=source) from error
    except (ua.UaError, ValueError) as error:
        raise DeviceProtocolError(
            f"{action} failed: the answer makes no sense: {error}", source=source
        ) from error


def _refused(source: str, endpoint: str, code: int) -> SettingsError | DeviceUnavailable:
    name = code_name(code)
    if code in _CREDENTIALS:
        return SettingsError(
            f"{endpoint} refuses the user ({name}): check username, password and what the server allows",
            setting="username",
        )
    if code in _OUR_CERTIFICATE:
        return SettingsError(
            f"{endpoint} refuses our certificate or security policy ({name}): trust our certificate at the "
            "server, or choose a policy and mode that it offers",
            setting="certificate",
        )
    return DeviceUnavailable(f"{endpoint} refuses the connection: {name}", source=source)


def _failed(source: str, action: str, code: int) -> SettingsError | DeviceUnavailable:
    if code in _TOO_MUCH_AT_ONCE:
        return SettingsError(
            f"{action} failed: the server says {code_name(code)}: lower max_nodes_per_call of {source!r}",
            setting="max_nodes_per_call",
        )
    return DeviceUnavailable(f"{action} failed: the server says {code_name(code)}", source=source)
