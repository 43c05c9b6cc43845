#!/usr/bin/env python3
"""Prints, as hex, how a NetMeeting that invites may open T.120: an X.224 Connection Request, then an
MCS Connect-Initial (T.125, BER) with a GCC conference invitation (T.124, PER). The two are encoded by
pycrate 0.8.1 (PyPI) from the ITU's own ASN.1. What is printed stands in opening.hex, so that no test
needs the package:

(Wireshark reads the conference's number as 2: pycrate counts the blank, which T.124 leaves out.)

    python3 -m venv v && v/bin/pip install pycrate==0.8.1 && v/bin/python opening.py > opening.hex
"""

from pycrate_asn1dir import T124, T125


def tpkt(payload: bytes) -> bytes:
    return b"\x03\x00" + (4 + len(payload)).to_bytes(2, "big") + payload


def invitation() -> bytes:
    invite = {
        "conferenceName": {"numeric": "1", "text": "Personal Conference"},
        "nodeID": 1001,
        "topNodeID": 1001,
        "tag": 3,
        "passwordInTheClearRequired": False,
        "lockedConference": False,
        "listedConference": True,
        "conductibleConference": False,
        "terminationMethod": "automatic",
        "callerIdentifier": "alice",
    }
    gcc = T124.GCC_PROTOCOL.ConnectGCCPDU
    gcc.set_val(("conferenceInviteRequest", invite))
    data = T124.GCC_PROTOCOL.ConnectData
    key = ("object", (0, 0, 20, 124, 0, 1))
    data.set_val({"t124Identifier": key, "connectPDU": gcc.to_aper()})
    return data.to_aper()


def parameters(*values: int) -> dict:
    names = ["maxChannelIds", "maxUserIds", "maxTokenIds", "numPriorities", "minThroughput", "maxHeight"]
    return dict(zip([*names, "maxMCSPDUsize", "protocolVersion"], values, strict=True))


def connect_initial() -> bytes:
    pdu = T125.MCS_PROTOCOL.ConnectMCSPDU
    value = {
        "callingDomainSelector": b"1",
        "calledDomainSelector": b"1",
        "upwardFlag": False,
        "targetParameters": parameters(100, 100, 100, 4, 0, 5, 4096, 2),
        "minimumParameters": parameters(1, 1, 1, 1, 0, 1, 1024, 1),
        "maximumParameters": parameters(65535, 65535, 65535, 4, 0, 5, 65535, 2),
        "userData": invitation(),
    }
    pdu.set_val(("connect-initial", value))
    return pdu.to_ber()


request = bytes([6, 0xE0, 0, 0, 0x01, 0x2C, 0])
data = bytes([2, 0xF0, 0x80])
print(tpkt(request).hex())
print(tpkt(data + connect_initial()).hex())
