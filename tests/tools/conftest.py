"""Fixtures of the tools' tests."""

from support.tool_rig import rig

__all__ = ["rig"]
