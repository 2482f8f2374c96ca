"""The fixtures of a whole site."""

from support.site import demo, own_site

__all__ = ["demo", "own_site"]
