"""`plantops tool` on a running site: lists, tables, JSON, exit codes, and a proof that holds elsewhere."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plantops.tools.registry import TOOLS
from support.command_line import PATIENCE_SECONDS, plantops
from support.site import RunningSite, make_site

PUMP = "plc1.pump."


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """A site with tools, and neither agent nor gateway."""
    site = make_site(tmp_path_factory.mktemp("site") / "demo")
    settings = site.root / "plantops.toml"
    text = settings.read_text()
    assert "[tools]\nenabled = false" in text
    settings.write_text(text.replace("[tools]\nenabled = false", "[tools]\nenabled = true"))
    try:
        asyncio.run(site.start())
        deadline = time.monotonic() + PATIENCE_SECONDS
        while plantops("tool", "list", "--folder", site.root).returncode:
            assert time.monotonic() < deadline, site.told()
        yield site
        site.stop()
    finally:
        if site.process is not None:
            site.clear(site.process)


def told(demo: RunningSite, *words: str, code: int = 0) -> Any:
    done = plantops("tool", *words, "--folder", demo.root, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def shown(demo: RunningSite, *words: str) -> list[str]:
    done = plantops("tool", *words, "--folder", demo.root)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_lists_what_reads_and_what_can_be_asked_of_the_gate(demo: RunningSite) -> None:
    tools = told(demo, "list", "--all")["tools"]
    reads = {tool["name"] for tool in tools if tool["kind"] == "read"}
    assert reads == {tool.name for tool in TOOLS}
    stop = next(tool for tool in tools if tool["name"] == "pump-001__StopPump")
    assert (stop["kind"], stop["safe_direction"]) == ("operation", True)
    lines = shown(demo, "list", "--all")
    assert lines[1].split() == ["tool", "kind", "risk", "for"]
    assert {line.split()[0] for line in lines[2:]} == {tool["name"] for tool in tools}


def test_searches_in_words_and_always_offers_the_safe_direction(demo: RunningSite) -> None:
    tools = told(demo, "search", "how", "did", "it", "go", "in", "the", "past", "--limit", "1")["tools"]
    assert tools[0]["name"] == "tag-history"
    assert {tool["name"] for tool in tools[1:]} >= {"pump-001__StopPump", "valve-001__CloseValve"}


def test_shows_what_a_tool_takes(demo: RunningSite) -> None:
    lines = shown(demo, "show", "tag-history")
    assert lines[0].startswith("tag-history (reads, risk low)")
    row = next(line.split() for line in lines if line.startswith("tag "))
    assert row[:3] == ["tag", "string", "yes"]


def test_calls_a_tool_with_its_places_as_json_and_as_a_table(demo: RunningSite) -> None:
    answer = told(demo, "call", "twin-get", f"prefix={PUMP}")
    names = [tag["tag"] for tag in answer["result"]["tags"]]
    assert names
    assert [one["name"] for one in answer["provenance"]] == names
    assert all(one["stream"] == "TAGS" and one["sequence"] > 0 for one in answer["provenance"])
    lines = shown(demo, "call", "twin-get", f"prefix={PUMP}")
    at = next(place for place, line in enumerate(lines) if line.split()[:3] == ["tag", "source", "value"])
    assert [line.split()[0] for line in lines[at + 1 :]] == [*names, "unknown:"]


def test_types_words_as_the_tool_says(demo: RunningSite) -> None:
    two = told(demo, "call", "twin-get", "tags=plc1.pump.speed,5")["result"]
    assert ([tag["tag"] for tag in two["tags"]], two["unknown"]) == (["plc1.pump.speed"], ["5"])
    same = told(demo, "call", "twin-get", 'tags=["plc1.pump.speed"]')["result"]
    assert [tag["tag"] for tag in same["tags"]] == ["plc1.pump.speed"]
    words = ("call", "policy-explain", "asset=pump-001", "operation=SetSpeed")
    explained = told(demo, *words, 'arguments={"RPM":99999}')["result"]
    assert (explained["verdict"], explained["reason"].split(":")[0]) == ("deny", "argument")
    assert told(demo, *words, 'arguments={"RPM":1200}')["result"]["verdict"] == "confirm"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("call", "twin-gte"), "did you mean 'twin-get'?"),
        (("show", "nothing-like-it"), "plantops tool list"),
        (("call", "pump-001__StopPump"), "plantops command pump-001 StopPump"),
        (("call", "twin-get", "prefx=a"), "did you mean 'prefix'?"),
        (("call", "twin-get", "prefix=a", "prefix=b"), "stands twice"),
        (("call", "audit-tile", "path=tile/0/xyz"), "is no path of a tile"),
        (("call", "twin-get", "prefix=plc1", "--cursor", "made up"), "cursor"),
        (("call", "events-read", "after=many"), "after='many'"),
    ],
)
def test_what_cannot_be_meant_ends_with_one_clear_line(
    demo: RunningSite, words: tuple[str, ...], said: str
) -> None:
    done = plantops("tool", *words, "--folder", demo.root)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert said in line


def test_whoever_has_no_role_for_it_reads_no_device(demo: RunningSite) -> None:
    words = ("tool", "call", "device-read", "tags=plc1.pump.speed", "--folder", demo.root)
    done = plantops(*words, "--as", "carol")
    assert done.returncode == 1
    assert "no role of carol covers tool.device-read" in done.stderr
    assert plantops(*words, "--as", "alice").returncode == 0


def test_a_proof_that_a_tool_gives_holds_with_the_notarys_key_alone(
    demo: RunningSite, tmp_path: Path
) -> None:
    done = plantops("command", "valve-001", "SetPosition", "PERCENT=17", "--folder", demo.root, "--json")
    assert done.returncode == 0, done.stderr
    handle = json.loads(done.stdout.splitlines()[-1])["handle"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = plantops("tool", "call", "audit-proof", f"command={handle}", "--folder", demo.root, "--json")
        if found.returncode == 0:
            break
        assert "wait for the next one" in found.stderr, found.stderr
        assert time.monotonic() < deadline
    proofs = json.loads(found.stdout)["result"]["proofs"]
    assert "command.permitted" in [one["kind"] for one in proofs]
    file = tmp_path / "record.tlog-proof"
    file.write_text(proofs[0]["proof"])
    (key,) = json.loads(plantops("audit", "keys", "--folder", demo.root, "--json").stdout)["logs"]
    checked = plantops("audit", "check-proof", file, "--key", key)
    assert checked.returncode == 0, checked.stderr
    file.write_text(proofs[0]["proof"].replace("index ", "index 1", 1))
    assert plantops("audit", "check-proof", file, "--key", key).returncode == 1
