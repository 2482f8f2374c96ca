"""Client certificates: whose it is, by its subject or one of its alternative names.

Names are compared by attributes, as RFC 4514 means them, not as texts: spaces and escapes do not matter.
Case does: two subjects that differ in case are two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryptography import x509

from plantops.gateway.identity.credentials import PeerCertificate, Unproved
from plantops.gateway.settings import CertificateSettings
from plantops.runtime.errors import SettingsError


def subject_of(text: str) -> x509.Name:
    """A distinguished name written as RFC 4514 says. Raises: ValueError."""
    return x509.Name.from_rfc4514_string(text)


@dataclass(frozen=True)
class Certificates:
    """Names of certificates to principals. Make it with `read`."""

    subjects: dict[x509.Name, str]
    names: dict[str, str]

    @classmethod
    def read(cls, settings: CertificateSettings) -> Certificates:
        """Raises: SettingsError for what is no distinguished name, or no alternative name."""
        subjects: dict[x509.Name, str] = {}
        for text, principal in settings.subjects.items():
            try:
                name = subject_of(text)
            except ValueError as error:
                raise SettingsError(
                    f"{text!r} is no distinguished name: write it as in CN=alice,O=Plant ({error})",
                    setting="gateway.certificates.subjects",
                ) from error
            if subjects.setdefault(name, principal) != principal:
                raise SettingsError(
                    f"{text!r} stands there for two principals", setting="gateway.certificates.subjects"
                )
        for text in settings.names:
            if text.partition(":")[0] not in ("DNS", "URI", "email"):
                raise SettingsError(
                    f"{text!r}: write DNS:, URI: or email: and the name", setting="gateway.certificates.names"
                )
        return cls(subjects, dict(settings.names))

    def principal(self, shown: PeerCertificate) -> str:
        """Raises: Unproved."""
        certificate = shown.certificate
        return self.named(certificate.subject, _alternatives(certificate))

    def named(self, subject: x509.Name | None, alternatives: Iterable[str]) -> str:
        """Whose a certificate with these names is. Raises: Unproved when it is nobody's, or of two."""
        found = {self.names[each] for each in alternatives if each in self.names}
        if subject is not None and subject in self.subjects:
            found.add(self.subjects[subject])
        if not found:
            written = subject.rfc4514_string() if subject is not None else ""
            raise Unproved(
                "certificate",
                f"the client certificate of {written!r} belongs to nobody here: add it to the settings",
            )
        if len(found) > 1:
            raise Unproved("certificate", "the client certificate names two principals: mend the settings")
        return found.pop()


def _alternatives(certificate: x509.Certificate) -> Iterator[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    yield from (f"DNS:{each}" for each in names.get_values_for_type(x509.DNSName))
    yield from (f"URI:{each}" for each in names.get_values_for_type(x509.UniformResourceIdentifier))
    yield from (f"email:{each}" for each in names.get_values_for_type(x509.RFC822Name))
