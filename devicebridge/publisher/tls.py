"""TLS to the broker, always verified, and what a failed handshake means."""

from __future__ import annotations

import ssl

from ..config import TlsConfig
from .reasons import Reason

VERIFY: dict[int, Reason] = {
    9: Reason.TLS_NOT_YET_VALID,
    10: Reason.TLS_EXPIRED,
    18: Reason.TLS_UNKNOWN_CA,  # self-signed
    19: Reason.TLS_UNKNOWN_CA,  # self-signed in the chain
    20: Reason.TLS_UNKNOWN_CA,  # no local issuer
    21: Reason.TLS_UNKNOWN_CA,  # cannot verify the first
    23: Reason.TLS_REVOKED,
    62: Reason.TLS_WRONG_HOST,
    64: Reason.TLS_WRONG_HOST,  # IP address
}
"""By X509_V_ERR code, openssl/x509_vfy.h."""


class _ClosingSocket(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho leaves it to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def context(config: TlsConfig) -> ssl.SSLContext:
    """Made anew for each connection, so that a renewed file needs no restart. Raises OSError for an unusable file."""
    made = ssl.create_default_context(cafile=config.ca_file)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.sslsocket_class = _ClosingSocket
    if config.cert_file is not None:
        made.load_cert_chain(config.cert_file, config.key_file)
    return made


def classify(error: ssl.SSLError) -> Reason:
    if isinstance(error, ssl.SSLCertVerificationError):
        return VERIFY.get(error.verify_code, Reason.TLS_FAILED)
    if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_EOF_WHILE_READING"):
        return Reason.TLS_NOT_SPOKEN
    return Reason.TLS_REFUSED_US if "ALERT" in (error.reason or "") else Reason.TLS_FAILED
