"""The tree drawn in the docstring is the tree that exists."""

import inspect

import pytest

from plantops.runtime import errors
from plantops.runtime.errors import PlantOpsError

EVERY = [
    kind for _name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, PlantOpsError)
]


@pytest.mark.parametrize("kind", EVERY)
def test_every_error_stands_in_the_drawing(kind: type[PlantOpsError]) -> None:
    assert errors.__doc__ is not None
    drawn = [line.lstrip("│├└─ ").split(" ")[0] for line in errors.__doc__.splitlines()]
    assert kind.__name__ in drawn


def test_only_a_device_the_broker_or_a_full_disk_can_be_tried_again() -> None:
    retryable = {kind for kind in EVERY if kind.retryable}
    assert {errors.DeviceUnavailable, errors.DeviceProtocolError, errors.BrokerUnavailable} <= retryable
    assert not {errors.WriteRejected, errors.Fenced, errors.StorageBusy, errors.IntegrityError} & retryable
    outside = (errors.DeviceError, errors.BrokerError, errors.StorageFull)
    assert all(issubclass(kind, outside) for kind in retryable)


def test_data_stands_in_fields() -> None:
    error = errors.WriteRejected("device said no", source="press", tag="press.speed", code=2)
    assert (error.message, error.source, error.tag, error.code) == (
        "device said no",
        "press",
        "press.speed",
        2,
    )
    assert str(error) == "device said no"
