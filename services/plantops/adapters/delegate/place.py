"""Where an operation and its job are: always at the delegate itself, never where an answer may lead. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

from plantops.adapters.delegate.config import DelegateSettings
from plantops.runtime.errors import DeviceProtocolError, WriteRejected

# Segments as RFC 3986, 3.3, less what the client would rewrite or a server might take for two things.
_PATH: Final = re.compile(r"(/[A-Za-z0-9_~$=:@+,-][A-Za-z0-9._~$=:@+,-]*)+")
_TARGET: Final = re.compile(r"/[A-Za-z0-9._~$=:@+,/?&%-]*")
_MAX_JOB: Final = 200


def operation_url(settings: DelegateSettings, path: str, simulate: bool) -> str:
    """The address of the operation at `path`. Raises: WriteRejected for a path that could lead elsewhere."""
    below = "/" + path.removeprefix("/")
    if _PATH.fullmatch(below) is None:
        raise WriteRejected(f"{path!r} is no path of an operation: use plain segments, like operations/Flush")
    url = settings.url.rstrip("/") + below
    if simulate and settings.simulate_path:
        return url + settings.simulate_path
    return f"{url}?simulate=true" if simulate and settings.simulate_by == "query" else url


def job_url(settings: DelegateSettings, location: str, job: str, base: str) -> str:
    """The address of a job: `location` relative to `base`, or what the settings say for its name.

    Raises: DeviceProtocolError when it leads to another server, or nothing names it.
    """
    if location:
        if (url := _at_home(settings.url, base, location)) is None:
            raise DeviceProtocolError(f"the delegate sends us to {location[:200]!r}, which is not at it")
        return url
    if not job or not settings.jobs:
        raise DeviceProtocolError("the delegate took the operation and does not say where to ask for its end")
    if len(job) > _MAX_JOB or job in (".", ".."):
        raise DeviceProtocolError(f"the delegate names a job {job[:_MAX_JOB]!r}, which is no name")
    return settings.url.rstrip("/") + settings.jobs.replace("{id}", quote(job, safe=""))


def _at_home(home: str, base: str, location: str) -> str | None:
    try:
        url = urljoin(base, location)
        parts, own = urlsplit(url), urlsplit(home)
    except ValueError:
        return None
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    is_home = (parts.scheme, parts.netloc) == (own.scheme, own.netloc)
    return url if is_home and not parts.fragment and _TARGET.fullmatch(target) else None
