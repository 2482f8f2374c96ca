"""Every error that PlantOps raises itself, in one tree; the class says what to do next.

PlantOpsError
├── SettingsError              a person must mend the configuration; starting again will not help
├── DeviceError                something is wrong with one device; `retryable` says whether to try again
│   ├── DeviceUnavailable      no answer: try again with backoff
│   ├── WriteRejected          the device understood the write and said no: do not try again
│   └── DeviceProtocolError    the answer breaks the protocol: drop the connection, then try again
├── BrokerError                something is wrong between this process and the broker
│   ├── BrokerUnavailable      no connection or no answer: try again
│   ├── Conflict               a compare-and-set lost: look at what is stored, then decide
│   ├── StreamMissing          the stream or consumer is not there: run the provisioner
│   ├── NobodyAnswers          no process serves this request: start it, or wait
│   ├── Misrouted              another stream took the message: somebody shadows the real one
│   └── Fenced                 another owner took over: stop at once, write nothing more
├── TrustError                 bytes that must not be believed: refuse and record
│   ├── MalformedEnvelope      not a signed envelope at all
│   ├── SignatureInvalid       a signature is missing or does not fit the bytes
│   ├── UntrustedKey           signed, but by nobody who is trusted here
│   └── PolicyRejected         a policy document is unsigned, expired, rolled back or wrong
├── IntegrityError             the ledger or a stored file is damaged: stop using it, call a person
├── StorageError               a file of ours cannot be written now, and is not damaged
│   ├── StorageFull            the disk is full: make room, it is tried again
│   └── StorageBusy            another process has the file: stop that one
└── Refused                    a person's request was refused; the reason is for that person

The text is for people: what happened, to what, what to do. Programs read the fields.
"""

from typing import ClassVar


class PlantOpsError(Exception):
    """Root of all errors raised by PlantOps; catching it never hides a programming error."""

    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class SettingsError(PlantOpsError):
    """The configuration is wrong; `setting` names the place in it ("" when it is the whole of it)."""

    def __init__(self, message: str, *, setting: str = "") -> None:
        super().__init__(message)
        self.setting = setting


class DeviceError(PlantOpsError):
    """Something is wrong with the device behind `source`; `tag` is "" when no single tag is meant."""

    def __init__(self, message: str, *, source: str = "", tag: str = "") -> None:
        super().__init__(message)
        self.source = source
        self.tag = tag


class DeviceUnavailable(DeviceError):
    """The device does not answer or the connection is gone; it may come back."""

    retryable = True


class WriteRejected(DeviceError):
    """The device understood the write and said no; `code` is the protocol's own, None if it gave none."""

    def __init__(self, message: str, *, source: str = "", tag: str = "", code: int | None = None) -> None:
        super().__init__(message, source=source, tag=tag)
        self.code = code


class DeviceProtocolError(DeviceError):
    """The device answered with bytes that the protocol does not allow; the connection cannot be kept."""

    retryable = True


class BrokerError(PlantOpsError):
    """Something is wrong between this process and the broker; `stream` is "" when none is meant."""

    def __init__(self, message: str, *, stream: str = "") -> None:
        super().__init__(message)
        self.stream = stream


class BrokerUnavailable(BrokerError):
    """No connection, or no acknowledgement in time; whether the broker stored the message is unknown."""

    retryable = True


class Conflict(BrokerError):
    """A compare-and-set lost: `last` is the sequence that really is the last one (None when not told)."""

    def __init__(self, message: str, *, stream: str = "", last: int | None = None) -> None:
        super().__init__(message, stream=stream)
        self.last = last


class StreamMissing(BrokerError):
    """The stream or the consumer does not exist: the provisioner has not run, or somebody deleted it."""


class NobodyAnswers(BrokerError):
    """No process serves this request at the moment."""

    retryable = True


class Misrouted(BrokerError):
    """The broker acknowledged for another stream than the one meant: a stream shadows it."""


class Fenced(BrokerError):
    """Another owner took over `owned`; this process must stop and must not write again."""

    def __init__(self, message: str, *, stream: str = "", owned: str = "") -> None:
        super().__init__(message, stream=stream)
        self.owned = owned


class TrustError(PlantOpsError):
    """Bytes that must not be believed."""


class MalformedEnvelope(TrustError):
    """The bytes are no signed envelope: wrong shape, wrong encoding or too large."""


class SignatureInvalid(TrustError):
    """A signature is missing, or does not fit the bytes and type; `keyid` is "" when none is meant."""

    def __init__(self, message: str, *, keyid: str = "") -> None:
        super().__init__(message)
        self.keyid = keyid


class UntrustedKey(TrustError):
    """Nobody who is trusted here has signed; `keyids` are those that claimed to."""

    def __init__(self, message: str, *, keyids: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.keyids = keyids


class PolicyRejected(TrustError):
    """A policy document cannot be used; `digest` names it ("" when it could not be read)."""

    def __init__(self, message: str, *, digest: str = "") -> None:
        super().__init__(message)
        self.digest = digest


class IntegrityError(PlantOpsError):
    """Stored bytes are damaged; `path` names the place ("" when they came from no file)."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class StorageError(PlantOpsError):
    """A file of ours cannot be used at the moment; what it holds is whole. `path` names it."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class StorageFull(StorageError):
    """The disk is full; nothing of the last write is stored."""

    retryable = True


class StorageBusy(StorageError):
    """Another process has the file open and owns it."""


class Refused(PlantOpsError):
    """A person's request was refused; `reason` is a stable code such as "not_authorised"."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
