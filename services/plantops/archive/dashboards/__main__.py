"""Write the dashboards into a folder, which Grafana's provisioning reads."""

from __future__ import annotations

import sys
from pathlib import Path

from plantops.archive.dashboards import DASHBOARDS


def _main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m plantops.archive.dashboards FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, dashboard in DASHBOARDS.items():
        (folder / name).write_text(dashboard.text())


_main()
