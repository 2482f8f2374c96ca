"""Who the gateway is on the broker: a client like any other. It has no right in PLANT and declares none."""

from __future__ import annotations

from typing import Final

GATEWAY: Final = "gateway"
"""The principal in whose name it asks for others, its login among the clients, and its process."""
