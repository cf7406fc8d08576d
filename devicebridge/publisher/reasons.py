"""What each answer of a broker means for us: tables, after MQTT 5.0 section 2.4 (reason codes) and 3.2.2.2, 3.4.2.1 and
3.14.2.1 (which packet may carry which)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto


class Reason(StrEnum):
    """Why there is no connection, or why a message was not taken. `devicebridge.words` has a sentence for each."""

    # The way to the broker.
    NAME_UNKNOWN = "name-unknown"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect-timeout"
    HUNG_UP = "hung-up"
    """Closed before it answered: perhaps no MQTT, another version, or TLS on one side only."""
    NO_ANSWER = "no-answer"
    """Connected, but no CONNACK in time."""
    LOST = "lost"
    """Closed without a reason."""
    SILENT = "silent"
    """No sign of life within the keep-alive."""
    ACK_TIMEOUT = "ack-timeout"
    REOPENED = "reopened"
    """By us, because the PC had slept."""
    CLIENT_FAILED = "client-failed"
    """Our own MQTT client ended in an error."""
    # Files and TLS.
    PASSWORD_FILE = "password-file"
    TLS_FILES = "tls-files"
    TLS_EXPIRED = "tls-expired"
    TLS_NOT_YET_VALID = "tls-not-yet-valid"
    TLS_WRONG_HOST = "tls-wrong-host"
    TLS_UNKNOWN_CA = "tls-unknown-ca"
    TLS_REVOKED = "tls-revoked"
    TLS_NOT_SPOKEN = "tls-not-spoken"
    TLS_REFUSED_US = "tls-refused-us"
    TLS_FAILED = "tls-failed"
    # Said by the broker.
    UNSPECIFIED = "unspecified"
    MALFORMED_PACKET = "malformed-packet"
    PROTOCOL_ERROR = "protocol-error"
    IMPLEMENTATION = "implementation"
    PROTOCOL_VERSION = "protocol-version"
    CLIENT_ID_INVALID = "client-id-invalid"
    BAD_CREDENTIALS = "bad-credentials"
    NOT_AUTHORIZED = "not-authorized"
    UNAVAILABLE = "unavailable"
    BUSY = "busy"
    BANNED = "banned"
    SHUTTING_DOWN = "shutting-down"
    BAD_AUTH_METHOD = "bad-auth-method"
    KEEP_ALIVE = "keep-alive"
    SESSION_TAKEN_OVER = "session-taken-over"
    """Another client with our id: most likely a cloned PC."""
    TOPIC_INVALID = "topic-invalid"
    ID_IN_USE = "id-in-use"
    RECEIVE_MAXIMUM = "receive-maximum"
    PACKET_TOO_LARGE = "packet-too-large"
    RATE_TOO_HIGH = "rate-too-high"
    QUOTA_EXCEEDED = "quota-exceeded"
    ADMINISTRATIVE = "administrative"
    PAYLOAD_INVALID = "payload-invalid"
    RETAIN_NOT_SUPPORTED = "retain-not-supported"
    QOS_NOT_SUPPORTED = "qos-not-supported"
    USE_ANOTHER_SERVER = "use-another-server"
    SERVER_MOVED = "server-moved"
    CONNECTION_RATE = "connection-rate"
    MAX_CONNECT_TIME = "max-connect-time"
    # Found out by trying.
    KICKED = "kicked"
    """Closed by the broker again and again, soon after it was accepted: most likely as SESSION_TAKEN_OVER, by a broker
    that does not say so."""
    BREAKS_CONNECTION = "breaks-connection"
    """Sent alone over a sound connection, and the connection ended each time."""


class Verdict(Enum):
    """What becomes of a row after its PUBACK."""

    SETTLE = auto()
    RETRY = auto()
    """Its lane waits and tries again; after RETRIES it goes alone, and then it is parked."""
    HOLD = auto()
    """Its lane waits, with growing pauses, for as long as it takes: an operator will mend the broker."""
    PARK = auto()
    """It will never be taken. Nothing behind it waits."""
    RECONNECT = auto()
    """As RETRY, over a new connection."""


@dataclass(frozen=True, slots=True)
class Answer:
    verdict: Verdict
    reason: Reason | None = None


PUBACK: dict[int, Answer] = {
    0x00: Answer(Verdict.SETTLE),
    0x10: Answer(Verdict.SETTLE),  # no matching subscribers: taken, and nobody listens
    0x80: Answer(Verdict.RETRY, Reason.UNSPECIFIED),
    0x83: Answer(Verdict.RETRY, Reason.IMPLEMENTATION),
    0x87: Answer(Verdict.HOLD, Reason.NOT_AUTHORIZED),
    0x90: Answer(Verdict.PARK, Reason.TOPIC_INVALID),
    0x91: Answer(Verdict.RECONNECT, Reason.ID_IN_USE),
    0x97: Answer(Verdict.HOLD, Reason.QUOTA_EXCEEDED),
    0x99: Answer(Verdict.PARK, Reason.PAYLOAD_INVALID),
}
"""A code that is not legal here never arrives: paho ends the connection with a protocol error."""

NO_SUBSCRIBERS = 0x10


class Pause(Enum):
    """How long to wait before the next round of connecting."""

    BACK_OFF = auto()
    """Longer each time, with full jitter."""
    SLOW = auto()
    """Somebody has to act first: the longest back-off at once, and the state says "refused"."""
    LONG = auto()
    """As SLOW, to the full, and no other address before that."""


class Blame(Enum):
    """Which of the rows in flight the end of a connection speaks of."""

    NONE = auto()
    ALL = auto()
    """Unexplained: each is counted, and goes alone after SUSPICIONS of these."""
    OVERTAKEN = auto()
    """Counted are those that were left without an answer while later ones got theirs."""
    PARK = auto()
    """One of them is refused for good: each goes alone now, and the one it happens to again is parked."""
    HOLD = auto()
    """As PARK, but the lane of the one waits."""
    LARGEST = auto()
    """Too large is certainly the largest of them: it is parked."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a connection, or of the attempt at one."""

    reason: Reason
    pause: Pause = Pause.BACK_OFF
    blame: Blame = Blame.NONE


CONNACK: dict[int, Ending] = {
    0x80: Ending(Reason.UNSPECIFIED),
    0x81: Ending(Reason.MALFORMED_PACKET, Pause.SLOW),
    0x82: Ending(Reason.PROTOCOL_ERROR, Pause.SLOW),
    0x83: Ending(Reason.IMPLEMENTATION),
    0x84: Ending(Reason.PROTOCOL_VERSION, Pause.SLOW),
    0x85: Ending(Reason.CLIENT_ID_INVALID, Pause.SLOW),
    0x86: Ending(Reason.BAD_CREDENTIALS, Pause.SLOW),
    0x87: Ending(Reason.NOT_AUTHORIZED, Pause.SLOW),
    0x88: Ending(Reason.UNAVAILABLE),
    0x89: Ending(Reason.BUSY),
    0x8A: Ending(Reason.BANNED, Pause.SLOW),
    0x8C: Ending(Reason.BAD_AUTH_METHOD, Pause.SLOW),
    0x90: Ending(Reason.TOPIC_INVALID, Pause.SLOW),  # of the will
    0x95: Ending(Reason.PACKET_TOO_LARGE, Pause.SLOW),
    0x97: Ending(Reason.QUOTA_EXCEEDED),
    0x9A: Ending(Reason.RETAIN_NOT_SUPPORTED, Pause.SLOW),
    0x9B: Ending(Reason.QOS_NOT_SUPPORTED, Pause.SLOW),
    0x9C: Ending(Reason.USE_ANOTHER_SERVER, Pause.SLOW),  # followed only to the next configured address
    0x9D: Ending(Reason.SERVER_MOVED, Pause.SLOW),
    0x9F: Ending(Reason.CONNECTION_RATE),
}

DISCONNECT: dict[int, Ending] = {
    0x00: Ending(Reason.LOST),
    0x80: Ending(Reason.UNSPECIFIED, blame=Blame.ALL),
    0x81: Ending(Reason.MALFORMED_PACKET, blame=Blame.ALL),
    0x82: Ending(Reason.PROTOCOL_ERROR, blame=Blame.ALL),
    0x83: Ending(Reason.IMPLEMENTATION, blame=Blame.ALL),
    0x87: Ending(Reason.NOT_AUTHORIZED, blame=Blame.HOLD),
    0x89: Ending(Reason.BUSY),
    0x8B: Ending(Reason.SHUTTING_DOWN),
    0x8C: Ending(Reason.BAD_AUTH_METHOD, Pause.SLOW),
    0x8D: Ending(Reason.KEEP_ALIVE),
    0x8E: Ending(Reason.SESSION_TAKEN_OVER, Pause.LONG),
    0x90: Ending(Reason.TOPIC_INVALID, blame=Blame.PARK),
    0x93: Ending(Reason.RECEIVE_MAXIMUM),
    0x95: Ending(Reason.PACKET_TOO_LARGE, blame=Blame.LARGEST),
    0x96: Ending(Reason.RATE_TOO_HIGH),
    0x97: Ending(Reason.QUOTA_EXCEEDED),
    0x98: Ending(Reason.ADMINISTRATIVE, Pause.SLOW),
    0x99: Ending(Reason.PAYLOAD_INVALID, blame=Blame.PARK),
    0x9A: Ending(Reason.RETAIN_NOT_SUPPORTED, Pause.SLOW),
    0x9B: Ending(Reason.QOS_NOT_SUPPORTED, Pause.SLOW),
    0x9C: Ending(Reason.USE_ANOTHER_SERVER, Pause.SLOW),
    0x9D: Ending(Reason.SERVER_MOVED, Pause.SLOW),
    0x9F: Ending(Reason.CONNECTION_RATE),
    0xA0: Ending(Reason.MAX_CONNECT_TIME),
}

LOST = Ending(Reason.LOST, blame=Blame.ALL)
SILENT = Ending(Reason.SILENT)
ACK_TIMEOUT = Ending(Reason.ACK_TIMEOUT, blame=Blame.OVERTAKEN)
NO_ANSWER = Ending(Reason.NO_ANSWER)
CONNECT_TIMEOUT = Ending(Reason.CONNECT_TIMEOUT)
HUNG_UP = Ending(Reason.HUNG_UP)
CLIENT_FAILED = Ending(Reason.CLIENT_FAILED, blame=Blame.ALL)
ID_IN_USE = Ending(Reason.ID_IN_USE)
NO_QOS_1 = Ending(Reason.QOS_NOT_SUPPORTED, Pause.SLOW)
WRONG_VERSION = Ending(Reason.PROTOCOL_VERSION, Pause.SLOW)
KICKED = Ending(Reason.KICKED, Pause.LONG)
REOPENED = Ending(Reason.REOPENED)
STOPPED = Ending(Reason.LOST)
