"""Random changes of an export are all located; `make bench` does ten thousand."""

from __future__ import annotations

from pathlib import Path

import pytest

from plantops.bench.audit_million import make_export
from plantops.bench.audit_mutations import RECORDS, not_located


@pytest.mark.parametrize("seed", [11, 12])
def test_every_random_change_names_its_record_or_its_file(tmp_path: Path, seed: int) -> None:
    trust = make_export(tmp_path / "export", RECORDS)
    assert not_located(tmp_path / "export", trust, 250, seed) == []
