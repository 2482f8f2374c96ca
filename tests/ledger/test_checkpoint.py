import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantops.ledger import checkpoint, note, strict_base64
from plantops.ledger.checkpoint import Checkpoint
from plantops.ledger.keys import SigningKey
from plantops.ledger.note import NoteKey
from plantops.ledger.tree import EMPTY_ROOT
from plantops.runtime.errors import (
    MalformedEnvelope,
    SettingsError,
    SignatureInvalid,
    TrustError,
    UntrustedKey,
)

LOG, WITNESS = SigningKey.from_seed(b"L" * 32), SigningKey.from_seed(b"W" * 32)
ORIGIN = "plantops.example/demo/5f"
LOG_KEY, WITNESS_KEY = NoteKey(ORIGIN, LOG.public), NoteKey("witness.example", WITNESS.public)
CHECKPOINT = Checkpoint(ORIGIN, 42, b"r" * 32)
SIGNED = checkpoint.sign(CHECKPOINT, LOG)

# The example in the documentation of Go's package golang.org/x/mod/sumdb/note.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZ"
    "InNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_verifies_a_note_that_another_program_signed() -> None:
    key = NoteKey.from_vkey(PETER)
    assert key.to_vkey() == PETER
    assert note.open_note(PETERS_NOTE.encode(), key).startswith("If you think")
    with pytest.raises(SignatureInvalid):
        note.open_note(PETERS_NOTE.replace("answer", "answeR").encode(), key)


def test_writes_three_lines_a_blank_one_and_a_signature() -> None:
    lines = SIGNED.decode().split("\n")
    assert lines[:4] == [ORIGIN, "42", strict_base64.encode(b"r" * 32), ""]
    assert lines[4].startswith(f"\u2014 {ORIGIN} ")
    assert lines[5:] == [""]


def test_what_was_signed_is_verified_with_its_extensions() -> None:
    extended = Checkpoint(ORIGIN, 7, b"x" * 32, ("time 2026", "more"))
    assert checkpoint.verify(checkpoint.sign(extended, LOG), LOG_KEY) == extended
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert checkpoint.verify(checkpoint.sign(empty, LOG), LOG_KEY) == empty


def test_other_signers_are_ignored_but_never_enough() -> None:
    both = checkpoint.cosign(SIGNED, "witness.example", WITNESS)
    assert checkpoint.verify(both, LOG_KEY) == CHECKPOINT
    assert checkpoint.verify(both, WITNESS_KEY, origin=ORIGIN) == CHECKPOINT
    with pytest.raises(UntrustedKey):
        checkpoint.verify(SIGNED, WITNESS_KEY, origin=ORIGIN)
    unknown_kind = SIGNED + b"\xe2\x80\x94 other.example AAAAAAE=\n"
    assert checkpoint.verify(unknown_kind, LOG_KEY) == CHECKPOINT


def test_the_same_key_under_another_name_is_another_signer() -> None:
    with pytest.raises(UntrustedKey):
        checkpoint.verify(SIGNED, NoteKey("other", LOG.public), origin=ORIGIN)


def test_a_log_changes_its_key_by_signing_with_both_for_a_while() -> None:
    new = SigningKey.from_seed(b"N" * 32)
    both = checkpoint.cosign(SIGNED, ORIGIN, new)
    for key in (LOG_KEY, NoteKey(ORIGIN, new.public)):
        assert checkpoint.verify(both, key) == CHECKPOINT


def test_a_checkpoint_of_another_log_is_refused() -> None:
    other = checkpoint.sign(Checkpoint("other.example", 1, b"r" * 32), LOG, name=ORIGIN)
    with pytest.raises(MalformedEnvelope, match="of log"):
        checkpoint.verify(other, LOG_KEY)


@given(at=st.integers(0, len(SIGNED) - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_refused(at: int, bit: int) -> None:
    flipped = bytearray(SIGNED)
    flipped[at] ^= 1 << bit
    with pytest.raises(TrustError):
        checkpoint.verify(bytes(flipped), LOG_KEY)


ROOT = strict_base64.encode(b"r" * 32)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"o\n1\n{ROOT}",
        f"\n1\n{ROOT}\n",
        "o\n1\n",
        f"o\n01\n{ROOT}\n",
        f"o\n+1\n{ROOT}\n",
        f"o\n-1\n{ROOT}\n",
        f"o\n 1\n{ROOT}\n",
        f"o\n1_0\n{ROOT}\n",
        f"o\n\u0661\n{ROOT}\n",
        f"o\n\n{ROOT}\n",
        f"o\n{2**63}\n{ROOT}\n",
        f"o\n1\n{ROOT} \n",
        f"o\n1\n{ROOT[:-1]}\n",
        "o\n1\nQUJD\n",
        f"o\n0\n{ROOT}\n",
        f"o\n1\n{ROOT}\n\n",
        f"o\n1\n{ROOT}\n\nextension\n",
        f"o\r\n1\r\n{ROOT}\r\n",
    ],
)
def test_refuses_a_body_of_another_shape(text: str) -> None:
    with pytest.raises(MalformedEnvelope):
        checkpoint.parse(text)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: data + b"rubbish\n",
        lambda data: data.replace(b"\n\n", b"\n"),
        lambda data: data.replace(b"\xe2\x80\x94", b"-"),
        lambda data: data.replace(b"42", b"4\t2"),
        lambda data: data + b"\xff\n",
        lambda data: data + b"\xe2\x80\x94 name\n",
        lambda data: data + b"\xe2\x80\x94 name AAAA\n",
        lambda data: data + b"\xe2\x80\x94 name  AAAAAAE=\n",
        lambda data: data + b"\xe2\x80\x94 na+me AAAAAAE=\n",
        lambda data: data + b"\xe2\x80\x94 name AAAAAAE=\n" * 100,
        lambda data: data + b"x" * note.MAX_NOTE_BYTES,
    ],
)
def test_refuses_a_note_of_another_shape(damage) -> None:  # type: ignore[no-untyped-def]  # lambdas of a table
    with pytest.raises(MalformedEnvelope):
        checkpoint.verify(damage(SIGNED), LOG_KEY)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+00000000+AQ==",
        PETER.replace("c74", "c75"),
        PETER.replace("+AR", "+Ah"),
        "+" + PETER,
        PETER + "A",
    ],
)
def test_refuses_a_mistyped_verifier_key(vkey: str) -> None:
    with pytest.raises(SettingsError):
        NoteKey.from_vkey(vkey)


def test_never_signs_what_would_be_read_as_something_else() -> None:
    with pytest.raises(MalformedEnvelope):
        checkpoint.sign(Checkpoint("a\n9", 1, b"r" * 32), LOG, name="a")
