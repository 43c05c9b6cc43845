#!/usr/bin/env python3
"""The smallest MSN client that takes voice calls: MSNP7, plain chat, and the plug-in beside it.

    MSN_PASSWORD=... small_client.py msnmsgr.example.net:1863 me@example.com

Write `alice@example.com hello` to send a line; `alice@example.com /accept` takes her call, and
`alice@example.com /invite voice` calls her. Ctrl-D ends it.

It is there to be read: lines marked HANDOFF are all that msn-handoff wants of a client. It shows no
contact list, keeps no connection alive, and answers no challenge of a server.
"""

import argparse
import asyncio
import hashlib
import os
import shlex
import signal
import sys

from msn_handoff import Handoff, Refused

INVITATION = b"text/x-msmsgsinvite"
PATIENCE = 15
# These may begin with the number of a request of ours, and answer none.
NO_REPLIES = {"RNG", "IRO", "MSG", "ILN", "LST"}


class Line:
    """A connection to a server: requests and their replies, and what it says by itself."""

    @classmethod
    async def connect(cls, address, heard, closed):
        self = cls()
        host, _, port = address.partition(":")
        self.reader, self.writer = await asyncio.open_connection(host, int(port or 1863))
        self.heard, self.closed = heard, closed
        self.number, self.waiting = 0, {}
        self.listening = asyncio.create_task(self._listen())
        return self

    def tell(self, verb, *words, payload=None):
        self.number += 1
        words = [verb, str(self.number), *words]
        if payload is not None:
            words.append(str(len(payload)))
        self.writer.write(" ".join(words).encode() + b"\r\n" + (payload or b""))
        return str(self.number)

    async def ask(self, verb, *words):
        reply = asyncio.get_running_loop().create_future()
        number = self.tell(verb, *words)
        self.waiting[number] = reply
        try:
            words = await asyncio.wait_for(reply, PATIENCE)
        finally:
            self.waiting.pop(number, None)
        if words[0].isdigit():
            raise ConnectionError(f"the server answers {words[0]} to {verb}")
        return words

    def end(self):
        if not self.writer.is_closing():
            self.writer.write(b"OUT\r\n")
            self.writer.close()

    async def _listen(self):
        try:
            while line := await self.reader.readline():
                words, payload = line.decode().split(), b""
                if not words:
                    continue
                if words[0] == "MSG":
                    payload = await self.reader.readexactly(int(words[-1]))
                number = words[1] if len(words) > 1 else ""
                if number in self.waiting and words[0] not in NO_REPLIES:
                    reply = self.waiting.pop(number)
                    if not reply.done():
                        reply.set_result(words)
                else:
                    await self.heard(self, words, payload)
        except (OSError, EOFError):
            pass
        finally:
            for reply in self.waiting.values():
                if not reply.done():
                    reply.set_exception(ConnectionError("the server has closed the line"))
            self.writer.close()
            await self.closed(self)


class Client:
    def __init__(self, account):
        self.account = account
        self.handoff = None
        self.boards = {}  # each Line to a switchboard: who else is in it
        self.lost = {}  # numbers of invitation messages on their way, and what they are
        self.answering = set()
        self.joined = asyncio.Condition()
        self.over = asyncio.Event()

    async def sign_in(self, server, password):
        while True:
            self.line = await Line.connect(server, self.heard, self.closed)
            await self.line.ask("VER", "MSNP7", "CVR0")
            await self.line.ask("INF")
            reply = await self.line.ask("USR", "MD5", "I", self.account)
            if reply[0] == "XFR":
                self.line.closed = forget
                self.line.end()
                server = reply[3]
                continue
            proof = hashlib.md5((reply[4] + password).encode()).hexdigest()
            await self.line.ask("USR", "MD5", "S", proof)
            await self.line.ask("SYN", "0")
            await self.line.ask("CHG", "NLN")
            address, _ = self.line.writer.get_extra_info("sockname")[:2]
            await self.handoff.signed_in(self.account, address)  # HANDOFF
            await self.handoff.ask("events")  # HANDOFF: only to show them
            return

    async def heard(self, line, words, payload):
        verb = words[0]
        if verb == "RNG":
            # Not here: the line must be heard meanwhile.
            task = asyncio.create_task(self.answer(words[1], words[2], words[4]))
            self.answering.add(task)
            task.add_done_callback(self.answering.discard)
        elif verb in ("JOI", "IRO"):
            async with self.joined:
                self.boards[line].add(words[1 if verb == "JOI" else 4].lower())
                self.joined.notify_all()
        elif verb == "BYE":
            await self.leaves(line, words[1].lower())
        elif verb == "NAK":
            if delivery := self.lost.pop((line, words[1]), None):
                await told(self.handoff.undelivered(delivery))  # HANDOFF
        elif verb == "MSG" and line in self.boards:
            await self.message(words[1].lower(), payload)

    async def message(self, sender, payload):
        header, _, body = payload.partition(b"\r\n\r\n")
        if INVITATION in header:
            if not await self.handoff.message(sender, payload):  # HANDOFF
                print(f"* {sender} invites you to something unknown", flush=True)
        elif b"text/plain" in header:
            print(f"<{sender}> {plain(body.decode(errors='replace'))}", flush=True)

    async def leaves(self, line, peer):
        self.boards[line].discard(peer)
        if not self.boards[line]:
            line.end()
        if not any(peer in others for others in self.boards.values()):
            await told(self.handoff.left(peer))  # HANDOFF

    async def closed(self, line):
        if line is self.line:
            self.over.set()
            return
        for peer in list(self.boards.get(line, ())):
            await self.leaves(line, peer)
        self.boards.pop(line, None)

    async def answer(self, session, address, cookie):
        try:
            line = await Line.connect(address, self.heard, self.closed)
            self.boards[line] = set()
            await line.ask("ANS", self.account, cookie, session)
        except (OSError, asyncio.TimeoutError) as error:
            print(f"* a conversation could not be joined: {error}", flush=True)

    async def board(self, peer):
        """The conversation with `peer` and nobody else, opened if need be."""
        for line, others in self.boards.items():
            if others == {peer} and not line.writer.is_closing():
                return line
        reply = await self.line.ask("XFR", "SB")
        line = await Line.connect(reply[3], self.heard, self.closed)
        self.boards[line] = set()
        try:
            await line.ask("USR", self.account, reply[5])
            await line.ask("CAL", peer)
            async with self.joined:
                there = self.joined.wait_for(lambda: peer in self.boards.get(line, ()))
                await asyncio.wait_for(there, PATIENCE)
        except BaseException:
            line.end()
            raise
        return line

    async def says(self, peer, text):
        if await self.handoff.typed(peer, text):  # HANDOFF
            return
        header = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n"
        line = await self.board(peer)
        line.tell("MSG", "A", payload=(header + text).encode())
        print(f"<{self.account}> {text}", flush=True)

    # What msn-handoff asks for. HANDOFF: these four.

    async def deliver(self, to, payload, delivery):
        line = await self.board(to.lower())
        number = line.tell("MSG", "N", payload=payload)
        self.lost[line, number] = delivery
        # No NAK comes after so many others.
        for old in list(self.lost)[:-64]:
            del self.lost[old]

    def show(self, peer, line):
        print(f"[{peer}] {line}", flush=True)

    def happened(self, event):
        words = [event["kind"], event.get("program"), event.get("address"), event.get("text")]
        print(f"* {event['peer']}, {event['name']}:", *filter(None, words), flush=True)

    def gone(self):
        print("* msn-handoff has ended", flush=True)


def plain(text):
    """What a contact wrote, made fit for a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


async def told(telling):
    try:
        await telling
    except (ConnectionError, Refused):
        pass


async def forget(_line):
    pass


async def keyboard():
    lines = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(lines)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    return lines


async def converse(client):
    lines = await keyboard()
    while line := (await lines.readline()).decode(errors="replace"):
        peer, _, text = line.strip().partition(" ")
        if not text:
            print("* write: alice@example.com hello", flush=True)
            continue
        try:
            await client.says(peer.lower(), text)
        except (OSError, asyncio.TimeoutError) as error:
            print(f"* {peer} cannot be reached: {error}", flush=True)


async def run(arguments):
    client = Client(arguments.account.lower())
    client.handoff = await Handoff.start(client, *shlex.split(arguments.handoff))  # HANDOFF
    await client.sign_in(arguments.server, os.environ.get("MSN_PASSWORD", ""))
    print(f"* signed in as {client.account}", flush=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, client.over.set)
    talking = asyncio.create_task(converse(client))
    over = asyncio.create_task(client.over.wait())
    await asyncio.wait({talking, over}, return_when=asyncio.FIRST_COMPLETED)
    talking.cancel()
    await client.handoff.close()  # HANDOFF: first, while the contacts can still be told.
    for line in list(client.boards) + [client.line]:
        line.end()
    await asyncio.gather(*(line.listening for line in list(client.boards) + [client.line]))


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("server", help="HOST:PORT")
parser.add_argument("account", help="me@example.com")
parser.add_argument("--handoff", default="msn-handoff", help="the program, and its options")
try:
    asyncio.run(run(parser.parse_args()))
except OSError as error:
    sys.exit(f"small_client.py: {error}")
