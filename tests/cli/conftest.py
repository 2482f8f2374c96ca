"""The fixture of a running site."""

from support.site import demo

__all__ = ["demo"]
