#!/usr/bin/env python3
"""Prints messages of H.225.0 and H.245, a name and hex in each line, encoded by pycrate 0.8.1 (PyPI)
from the ITU's own ASN.1. What is printed stands in messages.hex, so that no test needs the package. (Where the map of additions ends on a whole octet, pycrate 0.8.1 writes an octet
too many, as Wireshark sees as well; the values are chosen so that this does not happen.)

    python3 -m venv v && v/bin/pip install pycrate==0.8.1 && v/bin/python messages.py > messages.hex
"""

from pycrate_asn1dir import H225, H245

Q = H225.H323_MESSAGES.H323_UserInformation
C = H245.MULTIMEDIA_SYSTEM_CONTROL.MultimediaSystemControlMessage
O = H245.MULTIMEDIA_SYSTEM_CONTROL.OpenLogicalChannel

IP = bytes([192, 0, 2, 7])
GUID = bytes(range(16))
VERSION = (0, 0, 8, 2250, 0, 4)
MICROSOFT = {"t35CountryCode": 181, "t35Extension": 0, "manufacturerCode": 21324}
VENDOR = {"vendor": MICROSOFT, "productId": b"Microsoft\xae NetMeeting\xae\0", "versionId": b"3.0\0"}
TERMINAL = {"vendor": VENDOR, "terminal": {}, "mc": False, "undefinedNode": False}
NON_STANDARD = {"nonStandardIdentifier": ("h221NonStandard", MICROSOFT), "data": bytes(range(20))}
GATEWAY = {
    "gateway": {"protocol": [("h323", {}), ("voice", {"nonStandardData": NON_STANDARD})]},
    "mc": False,
    "undefinedNode": False,
}


def of(codec, value):
    codec.set_val(value)
    return codec.to_aper()


def uu(body, **more):
    return of(Q, {"h323-uu-pdu": {"h323-message-body": body, **more}})


def ip(port):
    return ("ipAddress", {"ip": IP, "port": port})


def media(port):
    return ("unicastAddress", ("iPAddress", {"network": IP, "tsapIdentifier": port}))


def audio(channel, what, session=1, **more):
    parameters = {"sessionID": session, **more}
    return {
        "forwardLogicalChannelNumber": channel,
        "forwardLogicalChannelParameters": {
            "dataType": what,
            "multiplexParameters": ("h2250LogicalChannelParameters", parameters),
        },
    }


PROPOSED = of(O, audio(1, ("audioData", ("g711Ulaw64k", 20)), mediaControlChannel=media(5001)))
ROUND_TRIP = of(C, ("request", ("roundTripDelayRequest", {"sequenceNumber": 3})))
SETUP = {
    "protocolIdentifier": VERSION,
    "h245Address": ip(1100),
    "sourceAddress": [("h323-ID", "Ann Ö"), ("dialledDigits", "42#")],
    "sourceInfo": TERMINAL,
    "destinationAddress": [("url-ID", "h323:bob"), ("h323-ID", "bob")],
    "destCallSignalAddress": ip(1720),
    "destExtraCRV": [1, 65535],
    "activeMC": True,
    "conferenceID": GUID,
    "conferenceGoal": ("create", 0),
    "callType": ("pointToPoint", 0),
    "sourceCallSignalAddress": ip(1055),
    "remoteExtensionAddress": ("h323-ID", "x"),
    "callIdentifier": {"guid": GUID},
    "h245SecurityCapability": [("noSecurity", 0)],
    "fastStart": [PROPOSED],
    "mediaWaitForConnect": False,
    "canOverlapSend": False,
    "multipleCalls": False,
    "maintainConnection": True,
    "symmetricOperationRequired": 0,
    "hopCount": 31,
}

MULTIPOINT = {
    "multicastCapability": False,
    "multiUniCastConference": False,
    "mediaDistributionCapability": [
        {
            **{f"{how}{what}": False for what in ("Control", "Audio", "Video") for how in ("centralized", "distributed")},
            "centralizedData": [{"application": ("t120", ("separateLANStack", 0)), "maxBitRate": 0}],
        }
    ],
}
H2250 = {
    "maximumAudioDelayJitter": 60,
    "receiveMultipointCapability": MULTIPOINT,
    "transmitMultipointCapability": MULTIPOINT,
    "receiveAndTransmitMultipointCapability": MULTIPOINT,
    "mcCapability": {"centralizedConferenceMC": False, "decentralizedConferenceMC": False},
    "rtcpVideoControlCapability": True,
    "mediaPacketizationCapability": {"h261aVideoPacketization": False},
    "logicalChannelSwitchingCapability": False,
    "t120DynamicPortCapability": False,
}
H263 = {
    "sqcifMPI": 1,
    "qcifMPI": 2,
    "cifMPI": 3,
    "maxBitRate": 3271,
    "unrestrictedVector": False,
    "arithmeticCoding": True,
    "advancedPrediction": False,
    "pbFrames": False,
    "temporalSpatialTradeOffCapability": True,
    "hrd-B": 5000,
    "bppMaxKb": 1000,
    "slowQcifMPI": 7,
    "errorCompensation": False,
}
DVI = {"nonStandardIdentifier": ("object", (1, 3, 6, 1, 4, 1, 311, 19, 2)), "data": bytes(18)}
TABLE = [
    ("receiveAudioCapability", ("g7231", {"maxAl-sduAudioFrames": 8, "silenceSuppression": False})),
    ("receiveAudioCapability", ("g711Alaw64k", 30)),
    ("receiveAudioCapability", ("g711Ulaw64k", 30)),
    ("receiveAudioCapability", ("gsmFullRate", {"audioUnitSize": 132, "comfortNoise": False, "scrambled": False})),
    ("receiveAudioCapability", ("nonStandard", DVI)),
    ("receiveVideoCapability", ("h263VideoCapability", H263)),
    (
        "receiveAndTransmitVideoCapability",
        (
            "h261VideoCapability",
            {
                "qcifMPI": 1,
                "cifMPI": 4,
                "temporalSpatialTradeOffCapability": True,
                "maxBitRate": 19200,
                "stillImageTransmission": False,
                "videoBadMBsCap": False,
            },
        ),
    ),
    ("receiveAndTransmitDataApplicationCapability", {"application": ("t120", ("separateLANStack", 0)), "maxBitRate": 625}),
    ("receiveAndTransmitUserInputCapability", ("basicString", 0)),
    ("h233EncryptionTransmitCapability", True),
    ("receiveAudioCapability", ("is11172AudioCapability", {
        **{k: False for k in ("audioLayer1", "audioLayer2", "audioLayer3", "audioSampling32k", "audioSampling44k1", "audioSampling48k", "singleChannel", "twoChannels")},
        "bitRate": 448,
    })),
    ("transmitAudioCapability", ("g729AnnexA", 256)),
]
T120 = ("data", {"application": ("t120", ("separateLANStack", 0)), "maxBitRate": 0})

MESSAGES = {
    "setup": uu(
        ("setup", SETUP),
        nonStandardData=NON_STANDARD,
        h245Tunnelling=True,
        h245Control=[ROUND_TRIP],
        provisionalRespToH245Tunnelling=0,
    ),
    "proceeding": uu(
        ("callProceeding", {"protocolIdentifier": VERSION, "destinationInfo": GATEWAY, "callIdentifier": {"guid": GUID}, "multipleCalls": False, "maintainConnection": False}),
        h245Tunnelling=False,
    ),
    "alerting": uu(("alerting", {"protocolIdentifier": VERSION, "destinationInfo": TERMINAL, "callIdentifier": {"guid": GUID}, "multipleCalls": True, "maintainConnection": True, "fastStart": [PROPOSED, PROPOSED]})),
    "connect": uu(
        ("connect", {"protocolIdentifier": VERSION, "h245Address": ip(40000), "destinationInfo": TERMINAL, "conferenceID": GUID, "callIdentifier": {"guid": GUID}, "multipleCalls": False, "maintainConnection": False, "language": ["en"]}),
        nonStandardData=NON_STANDARD,
    ),
    "release": uu(("releaseComplete", {"protocolIdentifier": VERSION, "reason": ("securityError", ("securityWrongOID", 0)), "callIdentifier": {"guid": GUID}})),
    "facility": uu(
        ("facility", {"protocolIdentifier": VERSION, "conferenceID": GUID, "reason": ("startH245", 0), "callIdentifier": {"guid": GUID}, "h245Address": ip(1), "multipleCalls": False, "maintainConnection": False}),
    ),
    "empty": uu(("empty", 0), h245Tunnelling=True, h245Control=[ROUND_TRIP, ROUND_TRIP]),
    "progress": uu(("progress", {"protocolIdentifier": VERSION, "destinationInfo": GATEWAY, "callIdentifier": {"guid": GUID}})),
    "capabilities": of(C, ("request", ("terminalCapabilitySet", {
        "sequenceNumber": 255,
        "protocolIdentifier": (0, 0, 8, 245, 0, 7),
        "multiplexCapability": ("h2250Capability", H2250),
        "capabilityTable": [{"capabilityTableEntryNumber": n + 1, "capability": c} for n, c in enumerate(TABLE)]
        + [{"capabilityTableEntryNumber": 65535}],
        "capabilityDescriptors": [{"capabilityDescriptorNumber": 0, "simultaneousCapabilities": [[1, 2, 3], [6, 7]]}],
    }))),
    "determination": of(C, ("request", ("masterSlaveDetermination", {"terminalType": 50, "statusDeterminationNumber": 0xABCDEF}))),
    "decision": of(C, ("response", ("masterSlaveDeterminationAck", {"decision": ("slave", 0)}))),
    "open": of(C, ("request", ("openLogicalChannel", audio(257, ("audioData", ("g711Alaw64k", 256)), mediaControlChannel=media(5001), silenceSuppression=False)))),
    "open-video": of(C, ("request", ("openLogicalChannel", audio(2, ("videoData", ("h263VideoCapability", H263)), 2, mediaControlChannel=media(5003), dynamicRTPPayloadType=96)))),
    "open-data": of(C, ("request", ("openLogicalChannel", {
        **audio(3, T120, 3),
        "reverseLogicalChannelParameters": {"dataType": T120, "multiplexParameters": ("h2250LogicalChannelParameters", {"sessionID": 3})},
        "separateStack": {"networkAddress": ("localAreaAddress", media(1503)), "associateConference": False},
    }))),
    "opened": of(C, ("response", ("openLogicalChannelAck", {
        "forwardLogicalChannelNumber": 257,
        "forwardMultiplexAckParameters": ("h2250LogicalChannelAckParameters", {"sessionID": 1, "mediaChannel": media(49608), "mediaControlChannel": media(49609), "flowControlToZero": False}),
    }))),
    "not-opened": of(C, ("response", ("openLogicalChannelReject", {"forwardLogicalChannelNumber": 3, "cause": ("securityDenied", 0)}))),
    "close": of(C, ("request", ("closeLogicalChannel", {"forwardLogicalChannelNumber": 1, "source": ("user", 0), "reason": ("reopen", 0)}))),
    "round-trip": of(C, ("request", ("roundTripDelayRequest", {"sequenceNumber": 9}))),
    "end": of(C, ("command", ("endSessionCommand", ("disconnect", 0)))),
    "mode": of(C, ("request", ("requestMode", {"sequenceNumber": 1, "requestedModes": [[{"type": ("audioMode", ("g711Ulaw64k", 0))}]]}))),
    "digits": of(C, ("indication", ("userInput", ("alphanumeric", "5")))),
    "vendor": of(C, ("indication", ("vendorIdentification", {"vendor": ("h221NonStandard", MICROSOFT)}))),
    "conference": of(C, ("request", ("conferenceRequest", ("terminalListRequest", 0)))),
}

for name, message in MESSAGES.items():
    print(name, message.hex())
