"""Base64 with exactly one text for each byte string.

Python's decoder ignores the unused bits of the last character, so two texts can mean the same bytes; in a log
where texts are compared and hashed that hides a change. RFC 4648, 3.5 allows a decoder to refuse such texts.
"""

from base64 import b64decode, b64encode
from binascii import a2b_base64, b2a_base64


def encode(data: bytes) -> str:
    """Encode with the standard alphabet and padding (RFC 4648, 4)."""
    return b64encode(data).decode("ascii")


def decode(text: str) -> bytes:
    """Give back the bytes that `encode` made this very text from.

    Raises:
        ValueError: any other text, even one that a lenient decoder would read.
    """
    data = b64decode(text, validate=True)
    if encode(data) != text:
        raise ValueError("base64 text is not in its canonical form")
    return data


def decode_bytes(text: bytes) -> bytes:
    """As `decode`, of a text that is at hand as bytes.

    Raises:
        ValueError: as `decode`.
    """
    data = a2b_base64(text, strict_mode=True)
    if b2a_base64(data, newline=False) != text:
        raise ValueError("base64 text is not in its canonical form")
    return data
