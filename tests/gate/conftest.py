"""Fixtures of the gate's tests."""

from support.gate_door import ground

__all__ = ["ground"]
