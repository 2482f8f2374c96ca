"""Every command on a running site: what it prints, as JSON and for people, and how it ends."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from support.command_line import PATIENCE_SECONDS, PLANTOPS, plantops, refusal
from support.site import RunningSite


def told(demo: RunningSite, *words: str, code: int = 0) -> Any:
    """The JSON document that a command prints."""
    done = plantops(*words, "--folder", demo.root, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def lines(demo: RunningSite, *words: str, code: int = 0) -> list[dict[str, Any]]:
    """The JSON lines that a command prints."""
    done = plantops(*words, "--folder", demo.root, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_status_tells_sources_and_commands(demo: RunningSite) -> None:
    status = told(demo, "status")
    assert {source["source"] for source in status["twin"]["sources"]} == {"plc1", "opc1"}
    assert status["running"]["url"] == demo.running.url


def test_tags_are_whole_in_a_pipe_and_the_same_as_json(demo: RunningSite) -> None:
    names = [tag["tag"] for tag in told(demo, "tags", "plc1.pump.")["tags"]]
    shown = plantops("tags", "plc1.pump.", "--folder", demo.root)
    assert [line.split()[0] for line in shown.stdout.splitlines()[2:]] == names


def test_a_reader_that_goes_away_gets_no_traceback(demo: RunningSite) -> None:
    with subprocess.Popen(
        [*PLANTOPS, "tags", "--watch", "--json", "--folder", str(demo.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            process.wait(PATIENCE_SECONDS)
            assert process.stderr.read() == ""
        finally:
            process.kill()
    assert process.returncode == 1


def test_a_command_is_simulated_confirmed_and_listed_as_such(demo: RunningSite) -> None:
    words = ("command", "pump-001", "StartPump")
    steps = lines(demo, *words)
    assert steps[0]["event"] == "taken"
    assert steps[-1]["phase"] == "simulated"
    handle = steps[-1]["handle"]
    steps = lines(demo, *words, "--confirm", handle)
    assert steps[-1]["outcome"] == "command.executed"
    assert [step["event"] for step in steps[1:-1]] == ["permitted", "claimed", "executed"]
    listed = {each["handle"]: each for each in told(demo, "commands")["commands"]}
    assert listed[handle]["confirmed_by"] == steps[-1]["handle"]


def test_typing_mistakes_are_told_with_what_is_near(demo: RunningSite) -> None:
    where = ("--folder", demo.root)
    assert "did you mean 'pump-001'?" in refusal("command", "pump-01", "StartPump", *where)
    assert "did you mean 'SetSpeed'?" in refusal("command", "pump-001", "setspeed", "RPM=1", *where)
    assert "did you mean 'RPM'?" in refusal("command", "pump-001", "SetSpeed", "rmp=1", *where)
    assert "add RPM=VALUE" in refusal("command", "pump-001", "SetSpeed", *where)
    assert "did you mean 'plc1.pump.speed'?" in refusal("read", "plc1.pump.sped", *where)
    assert "plc1.pmp" in refusal("tags", "plc1.pmp", *where)


def test_a_denied_command_fails_with_its_reason(demo: RunningSite) -> None:
    words = ("command", "pump-001", "SetSpeed", "RPM=900", "--as", "carol", "--folder", demo.root)
    assert "denied: role" in refusal(*words)


def test_a_device_is_read_past_the_twin(demo: RunningSite) -> None:
    (answer,) = told(demo, "read", "plc1.pump.speed")
    assert answer["inputs"][0]["tag"] == "plc1.pump.speed"


def test_what_nobody_asked_for_cannot_be_approved(demo: RunningSite) -> None:
    assert "c999" in refusal("approve", "c999", "--as", "bob", "--folder", demo.root)
    assert told(demo, "approvals")["waiting"] == []


def test_the_audit_verifies_and_exports(demo: RunningSite, tmp_path: Path) -> None:
    assert told(demo, "audit", "verify")["size"] > 0
    assert told(demo, "audit", "export", str(tmp_path / "export"))["size"] > 0
    assert told(demo, "audit", "verify", "--export", str(tmp_path / "export"))["findings"] == []
    (witness,) = told(demo, "audit", "keys")["witnesses"]
    assert told(demo, "audit", "verify", "--witness", witness)["findings"] == []
    assert told(demo, "audit", "archive", str(tmp_path / "archive"))["findings"] == []
    (proved,) = told(demo, "audit", "prove", "0", "-o", str(tmp_path / "first.tlog-proof"))
    assert proved["index"] == 0


def test_a_second_up_is_told_that_one_runs(demo: RunningSite) -> None:
    pid = demo.running.pid
    assert f"process {pid}" in refusal("up", "--folder", demo.root)
    assert demo.running.pid == pid


def test_doctor_is_content_with_a_running_site(demo: RunningSite) -> None:
    grades = {check["name"]: check["grade"] for check in told(demo, "doctor")}
    assert grades["broker"] == grades["policy"] == grades["keys"] == "ok"


def test_secrets_and_keys_are_made_as_json_tells(demo: RunningSite) -> None:
    stored = plantops("secret", "set", "plc9", "--folder", demo.root, "--json", feed="hush\n")
    assert json.loads(stored.stdout) == {"name": "plc9", "reference": "secret:plc9"}
    assert "plc9" in told(demo, "secret", "list")
    assert told(demo, "identity", "new", "dora")["name"] == "dora"
    assert "no broker lets 'dora' in" in refusal("tags", "--as", "dora", "--folder", demo.root)
    assert told(demo, "policy", "activate") == {"revision": 1, "published": False}
