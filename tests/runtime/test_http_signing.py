"""Signed HTTP messages: nothing else than what was signed passes, and it passes once."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plantops.runtime.errors import SettingsError, SignatureInvalid, TrustError, UntrustedKey
from plantops.runtime.http_signing import (
    SignedRequest,
    SignedResponse,
    SigningKey,
    Verifier,
    sign_request,
    sign_response,
    verify_response,
)

OLD = SigningKey("2026-a", "an old secret of enough characters")
NEW = SigningKey("2026-b", "a new secret that has enough of them")
NOW_MS = 1_800_000_000_000
NONCE = "0123456789abcdef" * 2
REQUEST = SignedRequest("POST", "/operations/Flush?a=1", b'[{"value":{}}]', "c0ffee", simulate=False)
RESPONSE = SignedResponse(200, b"[]")


class SetClock:
    """Milliseconds since 1970 that a test sets."""

    def __init__(self) -> None:
        self.ms = NOW_MS

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def verifier(clock: SetClock) -> Verifier:
    return Verifier({key.id: key for key in (OLD, NEW)}, now_ms=clock)


def header(nonce: str = NONCE, *, at: int = NOW_MS, request: SignedRequest = REQUEST) -> str:
    return str(sign_request(NEW, request, time_ms=at, nonce=nonce))


def test_the_signed_text_is_as_the_guide_tells_other_languages() -> None:
    digest = hashlib.sha256(REQUEST.body).hexdigest()
    lines = ("plantops-request-v1", "2026-b", str(NOW_MS), NONCE, "POST", "/operations/Flush?a=1")
    text = "\n".join((*lines, "c0ffee", "execute", digest))
    mac = hmac.new(NEW.secret.encode(), text.encode(), "sha256").hexdigest()
    assert header() == f"v1;key=2026-b;time={NOW_MS};nonce={NONCE};mac={mac}"


def test_a_signed_request_passes_once_and_never_again(verifier: Verifier, clock: SetClock) -> None:
    verifier.check(header(), REQUEST)
    for later in (0, 30_000, 60_000, 60_001, 130_000):
        clock.ms = NOW_MS + later
        with pytest.raises(SignatureInvalid):
            verifier.check(header(), REQUEST)


def test_a_time_from_the_future_end_of_the_window_cannot_be_replayed_when_it_comes(
    verifier: Verifier, clock: SetClock
) -> None:
    signed = header(at=NOW_MS + 60_000)
    verifier.check(signed, REQUEST)
    for later in (60_000, 119_999, 120_000):
        clock.ms = NOW_MS + later
        with pytest.raises(SignatureInvalid, match="replay"):
            verifier.check(signed, REQUEST)


def test_a_clock_that_is_set_back_lets_no_replay_through(verifier: Verifier, clock: SetClock) -> None:
    verifier.check(header(), REQUEST)
    clock.ms = NOW_MS + 200_000
    verifier.check(header("a" * 32, at=clock.ms), REQUEST)
    clock.ms = NOW_MS
    with pytest.raises(SignatureInvalid):
        verifier.check(header(), REQUEST)


@pytest.mark.parametrize(
    "altered",
    [
        replace(REQUEST, method="PUT"),
        replace(REQUEST, target="/operations/Flush?a=2"),
        replace(REQUEST, target="/operations/Drain?a=1"),
        replace(REQUEST, body=b'[{"value":{} }]'),
        replace(REQUEST, idempotency_key="c0ffef"),
        replace(REQUEST, simulate=True),
    ],
)
def test_no_signed_part_of_a_request_can_be_changed(verifier: Verifier, altered: SignedRequest) -> None:
    with pytest.raises(SignatureInvalid, match="does not fit"):
        verifier.check(header(), altered)


def test_what_is_simulated_can_not_be_made_an_execution_on_the_way(verifier: Verifier) -> None:
    simulation = replace(REQUEST, simulate=True)
    with pytest.raises(SignatureInvalid):
        verifier.check(header(request=simulation), replace(simulation, simulate=False))


@pytest.mark.parametrize("off_ms", [-60_001, 60_001, -3_600_000])
def test_a_clock_more_than_a_minute_off_is_refused(verifier: Verifier, clock: SetClock, off_ms: int) -> None:
    clock.ms += 7_200_000  # well after the verifier's start
    with pytest.raises(SignatureInvalid, match="set the clocks"):
        verifier.check(header(at=clock.ms + off_ms), REQUEST)


def test_what_was_signed_before_the_start_may_have_been_used_and_is_refused(verifier: Verifier) -> None:
    with pytest.raises(SignatureInvalid, match="older than this server's start"):
        verifier.check(header(at=NOW_MS - 1), REQUEST)


def test_two_keys_hold_at_once_and_a_third_does_not(verifier: Verifier) -> None:
    for number, key in enumerate((OLD, NEW)):
        signed = sign_request(key, REQUEST, time_ms=NOW_MS, nonce=f"{number:032x}")
        assert verifier.check(str(signed), REQUEST).key == key.id
    stranger = SigningKey("2026-c", NEW.secret)
    with pytest.raises(UntrustedKey, match="2026-c"):
        verifier.check(str(sign_request(stranger, REQUEST, time_ms=NOW_MS, nonce=NONCE)), REQUEST)


def test_a_key_under_the_name_of_another_is_refused(verifier: Verifier) -> None:
    false = SigningKey(NEW.id, OLD.secret)
    with pytest.raises(SignatureInvalid):
        verifier.check(str(sign_request(false, REQUEST, time_ms=NOW_MS, nonce=NONCE)), REQUEST)


GOOD = header()


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        "",
        "é" * 40,
        GOOD.replace("mac=", "mac=é"),
        GOOD[:-1] + "é",
        GOOD[:-1] + "\N{ARABIC-INDIC DIGIT THREE}",
        GOOD + "\n",
        GOOD + ";",
        GOOD + ", " + GOOD,
        GOOD.upper(),
        GOOD.replace("v1", "v2"),
        GOOD.replace("time=1", "time=\N{FULLWIDTH DIGIT ONE}"),
        "v1;key=;time=;nonce=;mac=",
        "\udcff" * 10,
    ],
)
def test_garbage_is_refused_and_nothing_crashes(verifier: Verifier, garbage: str | None) -> None:
    with pytest.raises(SignatureInvalid):
        verifier.check(garbage, REQUEST)


@given(st.text(max_size=200))
def test_no_text_whatever_is_anything_but_refused(text: str) -> None:
    with pytest.raises(TrustError):
        Verifier({NEW.id: NEW}, now_ms=SetClock()).check(text, REQUEST)


def test_a_request_with_strange_characters_is_refused_and_nothing_crashes(verifier: Verifier) -> None:
    for odd in ("/é", "/a\nb", "/\udcff"):
        with pytest.raises(SignatureInvalid):
            verifier.check(GOOD, replace(REQUEST, target=odd))


def test_badly_signed_requests_fill_nothing_and_good_ones_are_bounded(clock: SetClock) -> None:
    verifier = Verifier({NEW.id: NEW}, max_nonces=3, now_ms=clock)
    for number in range(10):
        with pytest.raises(SignatureInvalid):
            verifier.check(header(f"{number:032x}"), replace(REQUEST, body=b"other"))
    for number in range(3):
        verifier.check(header(f"{number:032x}"), REQUEST)
    with pytest.raises(SignatureInvalid, match="slow down"):
        verifier.check(header("f" * 32), REQUEST)
    clock.ms += 120_001
    verifier.check(header("e" * 32, at=clock.ms), REQUEST)


# --- responses


def test_a_response_fits_its_own_request_only() -> None:
    signed = str(sign_response(NEW, RESPONSE, time_ms=NOW_MS, nonce=NONCE))
    verify_response(NEW, signed, RESPONSE, nonce=NONCE)
    with pytest.raises(SignatureInvalid, match="another request"):
        verify_response(NEW, signed, RESPONSE, nonce="f" * 32)
    with pytest.raises(UntrustedKey):
        verify_response(OLD, signed, RESPONSE, nonce=NONCE)


@pytest.mark.parametrize(
    "altered",
    [
        replace(RESPONSE, status=202),
        replace(RESPONSE, body=b"[ ]"),
        replace(RESPONSE, location="/jobs/2"),
        replace(RESPONSE, simulated=True),
    ],
)
def test_no_signed_part_of_a_response_can_be_changed(altered: SignedResponse) -> None:
    signed = str(sign_response(NEW, RESPONSE, time_ms=NOW_MS, nonce=NONCE))
    with pytest.raises(SignatureInvalid, match="does not fit"):
        verify_response(NEW, signed, altered, nonce=NONCE)


def test_a_request_sent_back_is_no_response() -> None:
    with pytest.raises(SignatureInvalid):
        verify_response(NEW, header(), RESPONSE, nonce=NONCE)


def test_the_server_signs_with_the_key_that_it_was_asked_with(verifier: Verifier) -> None:
    asked = sign_request(OLD, REQUEST, time_ms=NOW_MS, nonce=NONCE)
    answered = verifier.sign(verifier.check(str(asked), REQUEST), RESPONSE)
    verify_response(OLD, str(answered), RESPONSE, nonce=NONCE)


@pytest.mark.parametrize(
    ("name", "secret"), [("", NEW.secret), ("é", NEW.secret), ("a;b", NEW.secret), ("a", "short")]
)
def test_a_key_that_cannot_be_used_is_a_settings_error(name: str, secret: str) -> None:
    with pytest.raises(SettingsError):
        SigningKey(name, secret)


def test_a_secret_shows_in_no_repr() -> None:
    assert NEW.secret not in repr(NEW)
