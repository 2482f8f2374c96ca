"""What can be wrong with a delegate, as one switch."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """How the delegate behaves; all but `NONE`, `REFUSING`, `REFUSING_UNSIGNED` act before they go wrong."""

    NONE = "none"
    REFUSING = "refusing"  # 400, signed: nothing was started
    REFUSING_UNSIGNED = "refusing_unsigned"  # 400 by nobody knows whom
    FAILING = "failing"  # 500
    HANGING = "hanging"  # no answer until `release`
    CUT = "cut"  # the connection ends without an answer
    UNSIGNED = "unsigned"
    WRONG_KEY = "wrong_key"  # signed with another secret
    WRONG_NONCE = "wrong_nonce"  # signed well, for another request
    REPLAYED = "replayed"  # the bytes of the answer before
    ALTERED = "altered"  # the body was changed after it was signed
    DOUBLED = "doubled"  # an output stands twice
    GARBAGE = "garbage"  # no HTTP
    NO_JSON = "no_json"
    HUGE = "huge"
    REDIRECT = "redirect"
    COMPRESSED = "compressed"
    IGNORING_SIMULATION = "ignoring_simulation"  # really acts when it is to simulate
    ELSEWHERE = "elsewhere"  # sends who asks for the job to another server
    JOB_FAILS = "job_fails"
    JOB_HANGS = "job_hangs"
    JOB_LOST = "job_lost"  # 404 when asked for the job
    JOB_HICCUP = "job_hiccup"  # the first question for the job gets a 503
    SICK = "sick"  # the health address says 503
