"""When the broker cannot help just now, and trying again later is right."""

from __future__ import annotations

from typing import Final

from plantops.runtime.errors import BrokerUnavailable, Fenced, IntegrityError, StreamMissing

# A server that is still starting answers as if the stream were missing; a host outlives that, and where the
# stream really is missing, the log says so until the provisioner has run.
AWAY: Final = (BrokerUnavailable, StreamMissing)

# When the audit takes no record, now or for good: nothing normal is done then, and stops go on.
UNAUDITED: Final = (*AWAY, Fenced, IntegrityError)
