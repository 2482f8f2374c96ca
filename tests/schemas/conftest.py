"""The fixtures of a whole site, for the example that talks to one."""

from support.site import demo, own_site

__all__ = ["demo", "own_site"]
