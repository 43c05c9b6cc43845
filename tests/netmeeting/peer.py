#!/usr/bin/env python3
"""A terminal of the shape of NetMeeting: slow start, no tunnel, H.245 by a connection of its own, its
set of capabilities (APPLICATIONS.md 3). H.225.0 and H.245 are encoded and decoded by pycrate (PyPI) from
the ITU's own ASN.1; TPKT (RFC 1006) and Q.931 are a few octets each. It plays a tone in G.711 u-law and
measures what it hears.

    peer.py call OWN-IP PEER-IP PEER-PORT --tone HZ --seconds S [--data] --out FILE
    peer.py listen OWN-IP OWN-PORT --tone HZ --seconds S [--film] --out FILE

FILE gets one JSON object: what was said by whom, in order, and the levels of the tones that were heard.
Whoever calls hangs up, S seconds after sound came; the other waits for the end.
"""

import argparse
import json
import math
import selectors
import signal
import socket
import struct
import subprocess
import time
import traceback

from pycrate_asn1dir import H225, H245

USER = H225.H323_MESSAGES.H323_UserInformation
CONTROL = H245.MULTIMEDIA_SYSTEM_CONTROL.MultimediaSystemControlMessage
VERSION = (0, 0, 8, 2250, 0, 2)
GUID = bytes(range(16))
MICROSOFT = {"t35CountryCode": 181, "t35Extension": 0, "manufacturerCode": 21324}
TERMINAL = {
    "vendor": {"vendor": MICROSOFT, "productId": b"Microsoft\xae NetMeeting\xae\0", "versionId": b"3.0\0"},
    "terminal": {},
    "mc": False,
    "undefinedNode": False,
}
KINDS = {1: "alerting", 2: "proceeding", 3: "progress", 5: "setup", 7: "connect", 0x5A: "release", 0x62: "facility"}
SETUP, CONNECT, RELEASE = 5, 7, 0x5A
REFERENCE = 0x1A2B
VIDEO = 258
DATA = 259
RATE = 8000
FRAME = 240  # 30 ms, as NetMeeting sends


def of(codec, value):
    codec.set_val(value)
    return codec.to_aper()


def read(codec, octets):
    codec.from_aper(octets)
    return codec.get_val()


def framed(octets):
    return struct.pack("!BBH", 3, 0, len(octets) + 4) + octets


def signalling(kind, reference, body):
    uu = of(USER, {"h323-uu-pdu": {"h323-message-body": body, "h245Tunnelling": False}})
    elements = b""
    if kind in (SETUP, CONNECT):
        # Bearer capability: unrestricted digital information, packet mode, H.221 and H.242.
        elements += b"\x04\x03\x88\x93\xa5"
    if kind == SETUP:
        elements += b"\x28\x0aNetMeeting"
    elements += b"\x7e" + struct.pack("!HB", len(uu) + 1, 5) + uu
    return framed(struct.pack("!BBHB", 8, 2, reference, kind) + elements)


def user_part(message):
    """The reference, the kind and the decoded user-user element of a Q.931 message."""
    assert message[:2] == b"\x08\x02", message.hex()
    reference, kind = struct.unpack_from("!HB", message, 2)
    at = 5
    while at < len(message):
        element = message[at]
        if element & 0x80:
            at += 1
        elif element == 0x7E:
            length = struct.unpack_from("!H", message, at + 1)[0]
            return reference, kind, read(USER, message[at + 4 : at + 3 + length])["h323-uu-pdu"]["h323-message-body"]
        else:
            at += 2 + message[at + 1]
    return reference, kind, None


def media(at):
    network, port = at
    return ("unicastAddress", ("iPAddress", {"network": socket.inet_aton(network), "tsapIdentifier": port}))


def place(address):
    value = address[1][1]
    return socket.inet_ntoa(value["network"]), value["tsapIdentifier"]


def ip(at):
    return ("ipAddress", {"ip": socket.inet_aton(at[0]), "port": at[1]})


NO_MULTIPOINT = {
    "multicastCapability": False,
    "multiUniCastConference": False,
    "mediaDistributionCapability": [
        {f"{how}{what}": False for what in ("Control", "Audio", "Video") for how in ("centralized", "distributed")}
    ],
}
H2250 = {
    "maximumAudioDelayJitter": 60,
    "receiveMultipointCapability": NO_MULTIPOINT,
    "transmitMultipointCapability": NO_MULTIPOINT,
    "receiveAndTransmitMultipointCapability": NO_MULTIPOINT,
    "mcCapability": {"centralizedConferenceMC": False, "decentralizedConferenceMC": False},
    "rtcpVideoControlCapability": True,
    "mediaPacketizationCapability": {"h261aVideoPacketization": False},
}
H263 = {
    "sqcifMPI": 1,
    "qcifMPI": 1,
    "cifMPI": 2,
    "maxBitRate": 6217,
    "unrestrictedVector": False,
    "arithmeticCoding": False,
    "advancedPrediction": False,
    "pbFrames": False,
    "temporalSpatialTradeOffCapability": True,
}
ULAW = ("audioData", ("g711Ulaw64k", 240))
DVI = {"nonStandardIdentifier": ("object", (1, 3, 6, 1, 4, 1, 311, 19, 2)), "data": bytes(18)}
TABLE = [
    ("receiveAudioCapability", ("g7231", {"maxAl-sduAudioFrames": 4, "silenceSuppression": False})),
    ("receiveAudioCapability", ("g711Ulaw64k", 240)),
    ("receiveAudioCapability", ("g711Alaw64k", 240)),
    ("receiveAudioCapability", ("nonStandard", DVI)),
    ("receiveVideoCapability", ("h263VideoCapability", H263)),
    (
        "receiveAndTransmitDataApplicationCapability",
        {"application": ("t120", ("separateLANStack", 0)), "maxBitRate": 625},
    ),
]
CAPABILITIES = {
    "sequenceNumber": 1,
    "protocolIdentifier": (0, 0, 8, 245, 0, 3),
    "multiplexCapability": ("h2250Capability", H2250),
    "capabilityTable": [
        {"capabilityTableEntryNumber": number + 1, "capability": one} for number, one in enumerate(TABLE)
    ],
    "capabilityDescriptors": [
        {"capabilityDescriptorNumber": 0, "simultaneousCapabilities": [[1, 2, 3, 4], [5], [6]]}
    ],
}


def ulaw(sample):
    """G.711, table 2a."""
    sign = 0x80 if sample < 0 else 0
    sample = min(abs(sample), 32635) + 132
    exponent = sample.bit_length() - 8
    return ~(sign | exponent << 4 | (sample >> (exponent + 3)) & 15) & 0xFF


def linear(octet):
    octet = ~octet & 0xFF
    sample = (((octet & 15) << 3) + 132 << (octet >> 4 & 7)) - 132
    return -sample if octet & 0x80 else sample


def level(samples, hertz):
    """In dB of the whole range: 0 is a sine that uses it."""
    if not samples:
        return -99.0
    real = sum(s * math.cos(math.tau * hertz * n / RATE) for n, s in enumerate(samples))
    imaginary = sum(s * math.sin(math.tau * hertz * n / RATE) for n, s in enumerate(samples))
    amplitude = 2 * math.hypot(real, imaginary) / len(samples)
    return round(20 * math.log10(max(amplitude, 1e-3) / 32768), 1)


class Framer:
    def __init__(self):
        self.octets = b""

    def push(self, octets):
        self.octets += octets
        while len(self.octets) >= 4:
            length = struct.unpack_from("!H", self.octets, 2)[0]
            if len(self.octets) < length:
                return
            yield self.octets[4:length]
            self.octets = self.octets[length:]


class Terminal:
    def __init__(self, options):
        self.options = options
        self.own = options.own
        self.log = []
        self.heard = []
        self.selector = selectors.DefaultSelector()
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.bind((self.own, options.rtp))
        self.selector.register(self.rtp, selectors.EVENT_READ, self.sound)
        self.signal = self.control = self.listener = None
        self.frames = {}
        self.to = self.since = self.next = None
        self.sequence = 0
        self.over = False
        self.asked = False
        self.camera = None
        self.reference = REFERENCE

    def note(self, who, what):
        self.log.append(f"{who} {what}")

    def watch(self, stream, message):
        framer = Framer()
        self.frames[stream] = framer

        def readable():
            octets = stream.recv(4096)
            if not octets:
                self.selector.unregister(stream)
                if stream is self.signal:
                    self.over = True
                return
            for one in framer.push(octets):
                message(one)

        self.selector.register(stream, selectors.EVENT_READ, readable)

    # Call signalling.

    def say(self, kind, name, fields):
        body = {"protocolIdentifier": VERSION, **fields}
        self.note("we", KINDS[kind])
        self.signal.sendall(signalling(kind, self.reference, (name, body)))

    def call(self, peer):
        self.signal = socket.create_connection(peer, 10, (self.own, 0))
        self.watch(self.signal, self.signalled)
        fields = {
            "sourceAddress": [("h323-ID", "NetMeeting")],
            "sourceInfo": TERMINAL,
            "destCallSignalAddress": ip(peer),
            "activeMC": False,
            "conferenceID": GUID,
            "conferenceGoal": ("create", 0),
            "callType": ("pointToPoint", 0),
            "sourceCallSignalAddress": ip(self.signal.getsockname()),
            "callIdentifier": {"guid": GUID},
            "mediaWaitForConnect": False,
            "canOverlapSend": False,
        }
        self.say(SETUP, "setup", fields)

    def listen(self, port):
        waiting = socket.create_server((self.own, port))
        print("listening", flush=True)
        self.signal, _ = waiting.accept()
        waiting.close()
        self.watch(self.signal, self.signalled)

    def signalled(self, message):
        reference, kind, body = user_part(message)
        self.note("they", KINDS.get(kind, hex(kind)))
        if kind == SETUP:
            # The called side says the caller's, with its own flag.
            self.reference = reference | 0x8000
            self.listener = socket.create_server((self.own, 0))
            fields = {
                "h245Address": ip(self.listener.getsockname()),
                "destinationInfo": TERMINAL,
                "conferenceID": body[1]["conferenceID"],
                "callIdentifier": body[1]["callIdentifier"],
            }
            self.say(CONNECT, "connect", fields)

            def accepted():
                self.control, _ = self.listener.accept()
                self.selector.unregister(self.listener)
                self.begin()

            self.selector.register(self.listener, selectors.EVENT_READ, accepted)
        elif kind == RELEASE:
            self.over = True
        elif body and "h245Address" in body[1] and self.control is None:
            at = body[1]["h245Address"][1]
            there = (socket.inet_ntoa(at["ip"]), at["port"])
            self.control = socket.create_connection(there, 10, (self.own, 0))
            self.begin()

    # H.245.

    def tell(self, *message):
        kind, (what, _) = message
        self.note("we", what)
        self.control.sendall(framed(of(CONTROL, message)))

    def begin(self):
        self.watch(self.control, self.controlled)
        self.tell("request", ("terminalCapabilitySet", CAPABILITIES))
        self.tell("request", ("masterSlaveDetermination", {"terminalType": 50, "statusDeterminationNumber": 0x123456}))

    def controlled(self, octets):
        _, (what, value) = message = read(CONTROL, octets)
        self.note("they", what)
        if what == "terminalCapabilitySet":
            self.tell("response", ("terminalCapabilitySetAck", {"sequenceNumber": value["sequenceNumber"]}))
        elif what == "masterSlaveDetermination":
            ahead = (value["statusDeterminationNumber"] - 0x123456) & 0xFFFFFF
            them = "slave" if ahead < 1 << 23 else "master"
            self.tell("response", ("masterSlaveDeterminationAck", {"decision": (them, 0)}))
        elif what == "masterSlaveDeterminationAck" and not self.asked:
            self.asked = True
            self.tell("request", ("roundTripDelayRequest", {"sequenceNumber": 7}))
            parameters = {"sessionID": 1, "mediaControlChannel": media((self.own, self.options.rtp + 1))}
            forward = {"dataType": ULAW, "multiplexParameters": ("h2250LogicalChannelParameters", parameters)}
            opening = {"forwardLogicalChannelNumber": 257, "forwardLogicalChannelParameters": forward}
            self.tell("request", ("openLogicalChannel", opening))
            if self.options.data:
                t120 = ("data", {"application": ("t120", ("separateLANStack", 0)), "maxBitRate": 625})
                over = ("h2250LogicalChannelParameters", {"sessionID": 3})
                both = {"dataType": t120, "multiplexParameters": over}
                opening = {
                    "forwardLogicalChannelNumber": DATA,
                    "forwardLogicalChannelParameters": both,
                    "reverseLogicalChannelParameters": both,
                }
                self.tell("request", ("openLogicalChannel", opening))
            if self.options.film:
                parameters = {"sessionID": 2, "mediaControlChannel": media((self.own, self.options.rtp + 3))}
                picture = ("videoData", ("h263VideoCapability", H263))
                forward = {"dataType": picture, "multiplexParameters": ("h2250LogicalChannelParameters", parameters)}
                opening = {"forwardLogicalChannelNumber": VIDEO, "forwardLogicalChannelParameters": forward}
                self.tell("request", ("openLogicalChannel", opening))
        elif what == "openLogicalChannel":
            kind = value["forwardLogicalChannelParameters"]["dataType"][0]
            number = value["forwardLogicalChannelNumber"]
            if kind != "audioData":
                no = {"forwardLogicalChannelNumber": number, "cause": ("dataTypeNotSupported", 0)}
                return self.tell("response", ("openLogicalChannelReject", no))
            here = {
                "sessionID": 1,
                "mediaChannel": media((self.own, self.options.rtp)),
                "mediaControlChannel": media((self.own, self.options.rtp + 1)),
            }
            yes = {
                "forwardLogicalChannelNumber": number,
                "forwardMultiplexAckParameters": ("h2250LogicalChannelAckParameters", here),
            }
            self.tell("response", ("openLogicalChannelAck", yes))
        elif what == "openLogicalChannelAck" and value["forwardLogicalChannelNumber"] == DATA:
            self.share(place(value["separateStack"]["networkAddress"][1]))
        elif what == "openLogicalChannelAck":
            to = place(value["forwardMultiplexAckParameters"][1]["mediaChannel"])
            if value["forwardLogicalChannelNumber"] == VIDEO:
                self.film(to)
            else:
                self.to = to
                self.next = time.monotonic()
        elif what == "endSessionCommand" and not self.over:
            self.hang_up()

    def hang_up(self):
        self.tell("command", ("endSessionCommand", ("disconnect", 0)))
        fields = {"reason": ("undefinedReason", 0), "callIdentifier": {"guid": GUID}}
        self.say(RELEASE, "releaseComplete", fields)
        self.over = True

    # Sound.

    def sound(self):
        packet = self.rtp.recv(2048)
        assert packet[0] >> 6 == 2 and packet[1] & 0x7F == 0, packet[:12].hex()
        self.since = self.since or time.monotonic()
        self.heard += [linear(octet) for octet in packet[12:]]

    def share(self, at):
        """The first words of T.120 (X.224, class 0), and what is answered."""
        stream = socket.create_connection(at, 10, (self.own, 0))
        stream.sendall(bytes.fromhex("0300000b06e00000000000"))
        self.note("they", "data " + stream.recv(100).hex())
        stream.close()

    def film(self, to):
        """ffmpeg is the camera: H.263 as RFC 2190 has it."""
        there = f"rtp://{to[0]}:{to[1]}?localaddr={self.own}&localrtpport={self.options.rtp + 2}&localrtcpport={self.options.rtp + 3}"
        words = "ffmpeg -v error -re -f lavfi -i testsrc2=size=176x144:rate=15 -c:v h263 -b:v 200k -f rtp -rtpflags rfc2190"
        self.camera = subprocess.Popen([*words.split(), there], stdin=subprocess.DEVNULL)

    def play(self):
        start = self.sequence * FRAME
        step = math.tau * self.options.tone / RATE
        octets = bytes(ulaw(int(16384 * math.sin(step * n))) for n in range(start, start + FRAME))
        header = struct.pack("!BBHII", 0x80, 0, self.sequence & 0xFFFF, start, 0x4E4D3031)
        self.rtp.sendto(header + octets, self.to)
        self.sequence += 1
        self.next += FRAME / RATE

    def run(self):
        end = time.monotonic() + 60
        while not self.over and time.monotonic() < end:
            wait = 0.05 if self.next is None else max(0.0, self.next - time.monotonic())
            for key, _ in self.selector.select(wait):
                key.data()
            if self.next is not None and time.monotonic() >= self.next and not self.over:
                self.play()
            enough = self.since and time.monotonic() - self.since >= self.options.seconds
            if enough and self.options.does == "call" and not self.over:
                self.hang_up()
        if self.camera:
            self.camera.terminate()
            self.camera.wait()
        # The first half second may be silence.
        heard = self.heard[RATE // 2 :]
        return {
            "said": self.log,
            "seconds": round(len(heard) / RATE, 1),
            "levels": {str(hertz): level(heard, hertz) for hertz in (440, 660, 880)},
        }


parser = argparse.ArgumentParser()
parser.add_argument("does", choices=["call", "listen"])
parser.add_argument("own")
parser.add_argument("rest", nargs="+", help="of call: the peer's address and port; of listen: our port")
parser.add_argument("--tone", type=float, default=440.0)
parser.add_argument("--seconds", type=float, default=3.0)
parser.add_argument("--rtp", type=int, default=49600)
parser.add_argument("--data", action="store_true", help="open a channel for T.120 as well")
parser.add_argument("--film", action="store_true", help="send a picture as well")
parser.add_argument("--out", required=True)
options = parser.parse_args()
try:
    terminal = Terminal(options)
    # Told to end, it still says what was.
    signal.signal(signal.SIGTERM, lambda *_: setattr(terminal, "over", True))
    if options.does == "call":
        terminal.call((options.rest[0], int(options.rest[1])))
    else:
        terminal.listen(int(options.rest[0]))
    outcome = terminal.run()
except Exception:  # What cannot be decoded is an outcome as well.
    outcome = {"error": traceback.format_exc()}
with open(options.out, "w") as out:
    json.dump(outcome, out)
