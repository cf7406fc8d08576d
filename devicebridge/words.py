"""What our reasons mean to a person: what is the matter, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from .ekg.recording import Unrecorded
from .links.bonding import BondFailure
from .outbox import Fault
from .publisher.reasons import Reason

OUTBOX: Mapping[Fault, str] = {
    Fault.DISK_FULL: "the disk is full; free some space and start again",
    Fault.SIZE_LIMIT: "the outbox is at its size limit; see that the broker can be reached, or raise outbox.max_mib",
    Fault.IO: "the disk fails; look at its health, and move the outbox to another",
    Fault.DENIED: "the outbox may not be written; give the service's user the right to its folder",
    Fault.LOCKED: "another devicebridge is running with this outbox; stop it first",
    Fault.NEWER_VERSION: "the outbox was written by a newer devicebridge; install that one again",
    Fault.NOT_OURS: "the file is not an outbox; name another in outbox.path",
    Fault.CORRUPT: "the outbox is damaged and could not be set aside; move it and start again",
    Fault.BAD_ENTRY: "a reading could not be stored; report it to the authors",
    Fault.CLOSED: "the outbox was closed",
}

UNRECORDED: Mapping[Unrecorded, str] = {
    Unrecorded.NO_SIGNAL: "no EKG signal is coming from the device; put the leads on and see that it is connected",
    Unrecorded.TOO_LONG: "the strip is too long for so many leads; ask for fewer seconds",
    Unrecorded.BUSY: "a strip is being recorded from this device already; wait for it",
    Unrecorded.LINK_LOST: "the connection to the device was lost, and nothing was kept; record again",
    Unrecorded.STOPPED: "the signal stopped, and nothing was kept; see to the device and record again",
    Unrecorded.UNSAVED: "earlier strips still wait for this PC's disk, which refuses them; make room on it first",
    Unrecorded.UNKNOWN_GAP: "too much of the signal was lost, and nothing was kept; bring the device nearer",
    Unrecorded.FORMAT_CHANGED: "the device changed its leads or rate, and nothing was kept; record again",
}

BOND: Mapping[BondFailure, str] = {
    BondFailure.NOT_IN_REACH: "the device is not heard; switch it on, bring it within a metre or two, and try again",
    BondFailure.NOT_IN_PAIRING_MODE: (
        "the device does not take new partners now; put it in pairing mode as its manual says, and try again"
    ),
    BondFailure.REFUSED: (
        "the device refuses; clear its pairings in its own menu, put it in pairing mode again, and try again"
    ),
    BondFailure.WRONG_PASSKEY: "the digits were not the device's; start its pairing mode again, and type what it shows",
    BondFailure.CANCELLED: "pairing was cancelled; nothing was changed here",
    BondFailure.VANISHED: "the device went away in the middle; bring it nearer, see to its battery, and try again",
    BondFailure.TIMEOUT: "it took too long; start the device's pairing mode again, and have its display before you",
    BondFailure.BONDED_ELSEWHERE: (
        "the device is paired with another PC or phone; undo it there, or clear the device's pairings, and try again"
    ),
    BondFailure.ADAPTER: "this PC's Bluetooth is off or missing; switch it on, or plug the adapter in",
    BondFailure.UNSUPPORTED: (
        "this system lets no program pair devices; pair it in the system's own Bluetooth settings, and try again"
    ),
}

_AGAIN = "it is being tried again"
_READINGS_WAIT = "readings are kept here meanwhile"

BROKER: Mapping[Reason, str] = {
    Reason.NAME_UNKNOWN: "the broker's name is not known to the network; check broker.addresses and the network",
    Reason.UNREACHABLE: "the broker does not answer; check that it runs, and the network",
    Reason.CONNECT_TIMEOUT: "the broker does not answer in time; check the network",
    Reason.HUNG_UP: "what answers hangs up at once; check the port, and whether TLS is wanted there",
    Reason.NO_ANSWER: "what answers does not speak MQTT in time; check the port",
    Reason.LOST: f"the connection to the broker was lost; {_AGAIN}",
    Reason.SILENT: f"the broker fell silent; {_AGAIN}",
    Reason.ACK_TIMEOUT: f"the broker does not confirm readings; {_AGAIN}",
    Reason.REOPENED: f"this PC has slept; the connection is being made again; {_READINGS_WAIT}",
    Reason.CLIENT_FAILED: f"our MQTT client failed; {_AGAIN}, and please report it",
    Reason.PASSWORD_FILE: "the password file cannot be read; check broker.password_file",
    Reason.TLS_FILES: "a TLS file cannot be used; check ca_file, cert_file and key_file in [broker.tls]",
    Reason.TLS_EXPIRED: "the broker's certificate has expired; renew it, and check this PC's clock",
    Reason.TLS_NOT_YET_VALID: "the broker's certificate is not valid yet; check this PC's clock",
    Reason.TLS_WRONG_HOST: "the broker's certificate is for another host; use the name it was issued for",
    Reason.TLS_UNKNOWN_CA: "the broker's certificate is of an unknown authority; give its ca_file in [broker.tls]",
    Reason.TLS_REVOKED: "the broker's certificate was revoked; ask whoever runs the broker",
    Reason.TLS_NOT_SPOKEN: "there is no TLS at that port; check the port",
    Reason.TLS_REFUSED_US: "the broker refuses this PC's certificate; check cert_file and key_file",
    Reason.TLS_FAILED: "TLS to the broker failed; check the versions that it allows",
    Reason.UNSPECIFIED: "the broker refuses without saying why; look in its log",
    Reason.MALFORMED_PACKET: "the broker does not understand us; check that it is an MQTT 5 broker",
    Reason.PROTOCOL_ERROR: "the broker does not understand us; check that it is an MQTT 5 broker",
    Reason.IMPLEMENTATION: "the broker refuses for a reason of its own; look in its log",
    Reason.PROTOCOL_VERSION: 'the broker does not speak MQTT 5; if it must be this one, set broker.protocol = "3.1.1"',
    Reason.CLIENT_ID_INVALID: "the broker does not like our client id; set another in broker.client_id",
    Reason.BAD_CREDENTIALS: "the broker refuses the user name or the password; check both",
    Reason.NOT_AUTHORIZED: f"the broker does not allow this; mend its access list; {_READINGS_WAIT}",
    Reason.UNAVAILABLE: f"the broker is not available; {_AGAIN}",
    Reason.BUSY: f"the broker is busy; {_AGAIN}",
    Reason.BANNED: "the broker has banned this PC; ask whoever runs it",
    Reason.SHUTTING_DOWN: f"the broker is shutting down; {_AGAIN}",
    Reason.BAD_AUTH_METHOD: "the broker wants another way of authentication, which we do not have",
    Reason.KEEP_ALIVE: f"the broker heard nothing from us; {_AGAIN}",
    Reason.SESSION_TAKEN_OVER: "another PC uses our client id; is this PC a copy of it? set broker.client_id on both",
    Reason.KICKED: "the broker keeps closing the connection; does another PC use our client id? see broker.client_id",
    Reason.TOPIC_INVALID: "the broker does not accept our topics; look in its log",
    Reason.ID_IN_USE: f"the broker lost count of our messages; {_AGAIN}",
    Reason.RECEIVE_MAXIMUM: f"we sent more at once than the broker takes; {_AGAIN}",
    Reason.PACKET_TOO_LARGE: "a reading is larger than the broker accepts; raise its limit, then send it again",
    Reason.RATE_TOO_HIGH: f"we send faster than the broker takes; {_AGAIN}",
    Reason.QUOTA_EXCEEDED: f"the broker's quota is used up; raise it; {_READINGS_WAIT}",
    Reason.ADMINISTRATIVE: "whoever runs the broker has disconnected us; ask them",
    Reason.PAYLOAD_INVALID: "the broker does not accept what a reading looks like; look in its log",
    Reason.RETAIN_NOT_SUPPORTED: "the broker keeps no retained messages, which our status needs; enable them",
    Reason.QOS_NOT_SUPPORTED: "the broker does not support QoS 1, without which readings are lost; enable it",
    Reason.USE_ANOTHER_SERVER: "the broker sends us to another; add it to broker.addresses",
    Reason.SERVER_MOVED: "the broker has moved; change broker.addresses",
    Reason.CONNECTION_RATE: f"the broker wants fewer connections; {_AGAIN}",
    Reason.MAX_CONNECT_TIME: f"the broker ends long connections; {_AGAIN}",
    Reason.BREAKS_CONNECTION: "a reading breaks the connection each time; it is kept here; look in the broker's log",
}

NOT_SENT = "{count} readings are saved on this PC and not sent yet"
NOBODY_LISTENS = "the broker takes the readings, but nobody is subscribed to them; start the charting side"
REFUSALS_HIDDEN = "MQTT 3.1.1: a reading that the broker refuses cannot be told from one it took"
