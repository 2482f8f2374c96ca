import stat
from pathlib import Path

import pytest
from nacl import pwhash

from plantops.runtime.errors import IntegrityError, PlantOpsError, SettingsError
from plantops.runtime.secrets import Cost, Secret, SecretStore, resolve_secret

CHEAP = Cost(pwhash.argon2id.OPSLIMIT_MIN, pwhash.argon2id.MEMLIMIT_MIN)
VALUE = "hunter2-\u00fc"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "secrets"
    SecretStore.create(path, "open sesame", cost=CHEAP).set("mqtt", VALUE)
    return path


def test_what_was_set_is_there_after_opening_again(path: Path) -> None:
    store = SecretStore.open(path, "open sesame")
    store.set("api", "x")
    store.set("mqtt", "new")
    again = SecretStore.open(path, "open sesame")
    assert (again.names(), again.get("mqtt"), again.get("api")) == (("api", "mqtt"), "new", "x")


def test_the_default_cost_is_moderate_and_stands_in_the_file(tmp_path: Path) -> None:
    SecretStore.create(tmp_path / "s", "p")
    header = (tmp_path / "s").read_text().split("\n")[1]
    assert '"passes":3' in header
    assert f'"memory_bytes":{256 * 1024 * 1024}' in header


def test_the_file_is_private_and_shows_nothing(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    data = path.read_bytes()
    assert b"mqtt" not in data
    assert VALUE.encode() not in data
    assert [file.name for file in path.parent.iterdir()] == ["secrets"]


def test_writing_again_keeps_the_file_private(path: Path) -> None:
    path.chmod(0o644)
    (path.parent / ".secrets.new").write_text("left by a crash")
    SecretStore.open(path, "open sesame").set("a", "b")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_same_secrets_are_never_encrypted_the_same_way_twice(path: Path) -> None:
    before = path.read_bytes()
    SecretStore.open(path, "open sesame").set("mqtt", VALUE)
    assert path.read_bytes() != before


@pytest.mark.parametrize("passphrase", ["", "open sesam", "Open sesame"])
def test_a_wrong_passphrase_opens_nothing(path: Path, passphrase: str) -> None:
    with pytest.raises(SettingsError, match="passphrase"):
        SecretStore.open(path, passphrase)


def test_any_flipped_bit_is_noticed(path: Path) -> None:
    data = path.read_bytes()
    # A changed cost can mean minutes of work before it is noticed; its bounds have a test of their own.
    cost = range(data.index(b'"passes"'), data.index(b'"salt"'))
    for at in set(range(len(data))) - set(cost):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(PlantOpsError):
            SecretStore.open(path, "open sesame")


@pytest.mark.parametrize(
    "damage", [b"", b"plantops-secrets:v1\n", b"\xff\n\n\n", b"plantops-secrets:v1\n{}\nAAAA\n"]
)
def test_a_file_of_another_shape_is_no_store(path: Path, damage: bytes) -> None:
    path.write_bytes(damage)
    with pytest.raises(IntegrityError, match="restore its backup"):
        SecretStore.open(path, "open sesame")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("passes", 17),
        ("passes", 0),
        ("memory_bytes", 2**31),
        ("memory_bytes", 1),
        ("salt", '"AAAA"'),
        ("more", 1),
    ],
)
def test_a_file_cannot_demand_any_amount_of_work(path: Path, field: str, value: object) -> None:
    lines = path.read_text().split("\n")
    lines[1] = lines[1].removesuffix("}") + f',"{field}":{value}}}'
    path.write_text("\n".join(lines))
    with pytest.raises(IntegrityError):
        SecretStore.open(path, "open sesame")


def test_never_begins_a_new_store_over_an_old_one(path: Path) -> None:
    with pytest.raises(SettingsError, match="exists"):
        SecretStore.create(path, "p", cost=CHEAP)
    with pytest.raises(SettingsError, match="cannot read"):
        SecretStore.open(path.with_name("absent"), "p")


def test_a_write_that_failed_changes_nothing(path: Path) -> None:
    store = SecretStore.open(path, "open sesame")
    (path.parent / ".secrets.new").mkdir()
    with pytest.raises(SettingsError, match="cannot write"):
        store.set("mqtt", "new")
    assert store.get("mqtt") == VALUE


@pytest.mark.parametrize(("name", "value"), [("", "x"), ("a", ""), ("a", "x" * 65_537)])
def test_refuses_a_secret_that_cannot_be_meant(path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match="needs a name"):
        SecretStore.open(path, "open sesame").set(name, value)


def test_a_secret_shows_up_in_no_repr(path: Path) -> None:
    store = SecretStore.open(path, "open sesame")
    assert VALUE not in repr([store, store.get("mqtt"), {"password": Secret(VALUE)}, vars(store)["_box"]])
    assert store.get("mqtt") == VALUE


def test_resolves_each_kind_of_reference(path: Path, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.write_text("from file\n")
    mounted.chmod(0o444)
    store = SecretStore.open(path, "open sesame")
    environment = {"TOKEN": "from environment"}
    resolved = [
        resolve_secret(reference, store=store, environment=environment)
        for reference in ("secret:mqtt", f"file:{mounted}", "env:TOKEN")
    ]
    assert resolved == [VALUE, "from file", "from environment"]
    assert repr(resolved) == "[Secret(***), Secret(***), Secret(***)]"


@pytest.mark.parametrize(
    "literal", ["hunter2", "", "secret:", "env:", "file:", "SECRET:a", "vault:hunter2", "secret"]
)
def test_a_secret_in_the_configuration_is_refused_and_not_repeated(literal: str) -> None:
    with pytest.raises(SettingsError, match=r"'secret:NAME' .* 'file:PATH' .* 'env:NAME'") as caught:
        resolve_secret(literal, store=None, environment={})
    assert "hunter2" not in str(caught.value) + repr(vars(caught.value))


def test_says_what_is_missing(path: Path, tmp_path: Path) -> None:
    store = SecretStore.open(path, "open sesame")
    for reference, text in (
        ("secret:absent", "holds no secret 'absent'"),
        ("env:ABSENT", "empty or not set"),
        ("env:EMPTY", "empty or not set"),
        (f"file:{tmp_path}/absent", "cannot read secret file"),
    ):
        with pytest.raises(SettingsError, match=text):
            resolve_secret(reference, store=store, environment={"EMPTY": ""})
    with pytest.raises(SettingsError, match="none is open"):
        resolve_secret("secret:mqtt", store=None, environment={})


@pytest.mark.parametrize(
    ("content", "mode", "text"),
    [
        (b"x", 0o464, "changed by others"),
        (b"x", 0o446, "changed by others"),
        (b"", 0o400, "empty"),
        (b"\n", 0o400, "empty"),
        (b"\xff", 0o400, "UTF-8"),
        (b"x" * 70_000, 0o400, "longer"),
    ],
)
def test_refuses_a_mounted_file_that_cannot_be_relied_on(
    tmp_path: Path, content: bytes, mode: int, text: str
) -> None:
    mounted = tmp_path / "mounted"
    mounted.write_bytes(content)
    mounted.chmod(mode)
    with pytest.raises(SettingsError, match=text):
        resolve_secret(f"file:{mounted}", store=None, environment={})
