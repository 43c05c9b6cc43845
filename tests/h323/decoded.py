#!/usr/bin/env python3
"""Decodes call signalling with pycrate (PyPI), from the ITU's own ASN.1: reads hex, whole TPKT messages,
and prints the name of each message, of what is in its tunnel and of what it proposes. Anything that cannot be
decoded, or has something behind its end, is an error.

    PYTHONPATH=PYCRATE decoded.py HEX
"""

import struct
import sys

from pycrate_asn1dir import H225, H245

USER = H225.H323_MESSAGES.H323_UserInformation
CONTROL = H245.MULTIMEDIA_SYSTEM_CONTROL.MultimediaSystemControlMessage
CHANNEL = H245.MULTIMEDIA_SYSTEM_CONTROL.OpenLogicalChannel


def read(codec, octets):
    codec.from_aper(octets)
    return codec.get_val()


octets = bytes.fromhex(sys.argv[1])
while octets:
    version, _, length = struct.unpack_from("!BBH", octets)
    assert version == 3 and 4 < length <= len(octets), octets.hex()
    message, octets = octets[4:length], octets[length:]
    assert message[:2] == b"\x08\x02", message.hex()
    at = 5
    while message[at] != 0x7E:
        at += 1 if message[at] & 0x80 else 2 + message[at + 1]
    size = struct.unpack_from("!H", message, at + 1)[0]
    assert len(message) == at + 3 + size, message.hex()
    pdu = read(USER, message[at + 4 :])["h323-uu-pdu"]
    name, body = pdu["h323-message-body"]
    print(name)
    for one in pdu.get("h245Control", []):
        print("tunnelled", read(CONTROL, one)[1][0])
    for one in body.get("fastStart", []) if isinstance(body, dict) else []:
        print("channel", read(CHANNEL, one)["forwardLogicalChannelNumber"])
