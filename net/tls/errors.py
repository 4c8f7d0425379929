"""Errors of TLS in words: whose certificate each is about, what is wrong, what would help.

In TLS 1.3 a client believes that the handshake is done before the server has looked at its certificate, so the
server's verdict on it comes as an alert in place of the first answer.
"""

from __future__ import annotations

import datetime
import ssl

from asyncagg.net.errors import FrameError, Refusal, Refused, Untrusted, describe_os_error, printable

_NOT_YET_VALID, _EXPIRED = 9, 10  # OpenSSL's X509_V_ERR_…
_UNKNOWN_AUTHORITY = (2, 7, 18, 19, 20, 21)  # 7: one of the same name signed it

_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG")
_OLD_TLS = ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION")
_THEIR_VERDICT = {
    "CERTIFICATE_REQUIRED": "it wants a certificate, and we have none",
    "UNKNOWN_CA": "it does not know the authority of our certificate",
    "DECRYPT_ERROR": "it does not know the authority of our certificate",
    "CERTIFICATE_EXPIRED": "it says that our certificate has expired",
    "BAD_CERTIFICATE": "it says that our certificate is bad, perhaps not valid yet by its clock",
    "CERTIFICATE_UNKNOWN": "it does not accept our certificate",
    "CERTIFICATE_REVOKED": "it says that our certificate is revoked",
    "UNSUPPORTED_CERTIFICATE": "it says that our certificate is not for this use",
    "ACCESS_DENIED": "it denies us access",
}
"""Verdicts by the end of the name that OpenSSL gives to the alert."""


def explain(error: ssl.SSLError) -> FrameError:
    """The refusal that an error of TLS amounts to, for either end: `it` is the other side."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return FrameError(Refusal.BAD_CERTIFICATE, _our_verdict(error))
    reason = error.reason or ""
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return FrameError(Refusal.NO_CERTIFICATE, "it shows no certificate")
    if reason in _NOT_TLS:
        return FrameError(Refusal.NOT_TLS, "it does not speak TLS")
    if reason in _OLD_TLS:
        return FrameError(Refusal.NOT_TLS, "it does not speak TLS 1.3")
    verdict = next((words for alert, words in _THEIR_VERDICT.items() if reason.endswith(f"ALERT_{alert}")), None)
    if verdict is not None:
        return FrameError(Refusal.OUR_CERTIFICATE, verdict)
    return FrameError(Refusal.TLS_FAILED, describe_os_error(error))


def final(remote: str, error: ssl.SSLError) -> Refused | str:
    """Error for the side that dialled `remote`; a text only where trying again may help."""
    refusal = explain(error)
    if refusal.code is Refusal.TLS_FAILED:
        return refusal.detail
    kind = Refused if refusal.code is Refusal.OUR_CERTIFICATE else Untrusted
    return kind(remote, refusal.detail)


def _our_verdict(error: ssl.SSLCertVerificationError) -> str:
    now = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    if error.verify_code == _NOT_YET_VALID:
        return f"its certificate is not valid yet; check this host's clock, by which it is {now}"
    if error.verify_code == _EXPIRED:
        return f"its certificate has expired; by this host's clock it is {now}"
    if error.verify_code in _UNKNOWN_AUTHORITY:
        return "its certificate is not from our authority"
    return f"its certificate is bad: {printable(error.verify_message)}"
