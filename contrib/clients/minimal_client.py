#!/usr/bin/env python3
"""A small MSN client (MSNP8) that lets `msn-handoff stdio` take its invitations.

What a client of yours needs is in the class Handoff: start the program, give it every
text/x-msmsgsinvite message and every line the user types, send what it wants sent, show what it
wants shown. The rest is as much of a client as is needed to show that.

    minimal_client.py SERVER:PORT ACCOUNT [MSN-HANDOFF [ARGUMENTS...]]

What the user types comes from standard input, as `contact@example.com: text`.
Only the standard library is used.
"""

import asyncio
import base64
import json
import sys


class Handoff:
    """The program beside the client, over its standard input and output (docs/STDIO.md)."""

    def __init__(self, client):
        self.client = client
        self.waiting = {}
        self.last = 0
        self.gone = False

    async def start(self, command):
        self.process = await asyncio.create_subprocess_exec(
            *command, "stdio", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        greeting = json.loads(await self.process.stdout.readline())
        if greeting["protocol"] != 1:
            raise SystemExit("msn-handoff speaks another version of the protocol")
        self.reading = asyncio.create_task(self.read())

    async def read(self):
        while line := await self.process.stdout.readline():
            said = json.loads(line)
            if "send" in said:
                send = said["send"]
                payload = send.get("payload", "").encode() or base64.b64decode(send["payload64"])
                await self.client.send_invitation(send["to"], payload, send["delivery"])
            elif "show" in said:
                self.client.show(said["show"]["peer"], said["show"]["line"])
            elif said.get("id") in self.waiting:
                self.waiting.pop(said["id"]).set_result(said)
        for answer in self.waiting.values():
            answer.set_result({})
        self.waiting.clear()
        self.gone = True

    async def tell(self, told, **more):
        """Tells something, and gives the answer; nothing when the program has left."""
        if self.gone:
            return {}
        self.last += 1
        answer = self.waiting[self.last] = asyncio.get_running_loop().create_future()
        line = json.dumps({"id": self.last, "told": told, **more})
        self.process.stdin.write(line.encode() + b"\n")
        await self.process.stdin.drain()
        return await answer

    async def takes(self, told, **more):
        return (await self.tell(told, **more)).get("verdict") == "taken"

    async def stop(self):
        # It ends every invitation, tells the contacts through us, and leaves.
        self.process.stdin.close()
        await self.reading
        await self.process.wait()


class Connection:
    """Commands and payloads of MSNP over one connection."""

    async def open(self, address):
        host, port = address.rsplit(":", 1)
        self.reader, self.writer = await asyncio.open_connection(host, int(port))
        self.last = 0

    def command(self, verb, words, payload=None):
        self.last += 1
        words = f" {words}" if words else ""
        if payload is None:
            self.writer.write(f"{verb} {self.last}{words}\r\n".encode())
        else:
            self.writer.write(f"{verb} {self.last}{words} {len(payload)}\r\n".encode() + payload)

    async def next(self):
        """The next command's words, and its payload."""
        words = (await self.reader.readline()).decode().split()
        length = int(words[-1]) if words and words[0] == "MSG" else 0
        return words, await self.reader.readexactly(length) if length else b""

    async def ask(self, verb, words):
        self.command(verb, words)
        while True:
            answer, _ = await self.next()
            if not answer:
                raise SystemExit(f"the server closed the connection after {verb}")
            if answer[1:2] == [str(self.last)]:
                return answer


class Switchboard(Connection):
    """A conversation."""

    def __init__(self, client):
        self.client = client
        self.members = set()
        # Which of our messages a NAK is about.
        self.deliveries = {}

    async def answer(self, account, cookie, session):
        self.command("ANS", f"{account} {cookie} {session}")
        asyncio.create_task(self.read())

    async def call(self, account, cookie, contact):
        await self.ask("USR", f"{account} {cookie}")
        self.command("CAL", contact)
        self.joined = asyncio.Event()
        asyncio.create_task(self.read())
        await asyncio.wait_for(self.joined.wait(), 30)

    async def read(self):
        while True:
            words, payload = await self.next()
            if not words:
                break
            if words[0] == "IRO":
                self.members.add(words[4])
            elif words[0] == "JOI":
                self.members.add(words[1])
                if hasattr(self, "joined"):
                    self.joined.set()
            elif words[0] == "BYE":
                self.members.discard(words[1])
                await self.client.left(self, words[1])
            elif words[0] == "MSG":
                await self.client.message(words[1], payload)
            elif words[0] == "NAK" and int(words[1]) in self.deliveries:
                delivery = self.deliveries.pop(int(words[1]))
                await self.client.handoff.tell("undelivered", delivery=delivery)
        for member in list(self.members):
            self.members.discard(member)
            await self.client.left(self, member)
        self.client.switchboards.discard(self)


class Client:
    def __init__(self, server, account):
        self.server, self.account = server, account
        self.switchboards = set()
        self.calls = asyncio.Queue()
        self.handoff = Handoff(self)

    async def sign_in(self, command):
        await self.handoff.start(command)
        self.home = Connection()
        await self.home.open(self.server)
        await self.home.ask("VER", "MSNP8 CVR0")
        await self.home.ask("CVR", f"0x0409 linux 1.0 i386 MINIMAL 0.1 msmsgs {self.account}")
        await self.home.ask("USR", f"TWN I {self.account}")
        await self.home.ask("USR", "TWN S t=demo&p=")
        await self.home.ask("SYN", "0")
        self.home.command("CHG", "NLN 0")
        own_ip = self.home.writer.get_extra_info("sockname")[0]
        await self.handoff.tell("signed-in", account=self.account, **{"own-ip": own_ip})
        self.reading = asyncio.create_task(self.read())
        print("signed in", flush=True)

    async def read(self):
        while True:
            words, _ = await self.home.next()
            if not words:
                return
            if words[0] == "RNG":
                _, session, address, _, cookie, *_ = words
                switchboard = Switchboard(self)
                await switchboard.open(address)
                self.switchboards.add(switchboard)
                await switchboard.answer(self.account, cookie, session)
            elif words[0] == "XFR":
                await self.calls.put((words[3], words[5]))

    async def with_contact(self, contact):
        """A conversation with exactly that contact; a new one if there is none."""
        for switchboard in self.switchboards:
            if switchboard.members == {contact}:
                return switchboard
        self.home.command("XFR", "SB")
        address, cookie = await self.calls.get()
        switchboard = Switchboard(self)
        await switchboard.open(address)
        await switchboard.call(self.account, cookie, contact)
        self.switchboards.add(switchboard)
        return switchboard

    async def message(self, sender, payload):
        if b"text/x-msmsgsinvite" in payload:
            try:
                told = {"payload": payload.decode()}
            except UnicodeDecodeError:
                told = {"payload64": base64.b64encode(payload).decode()}
            if await self.handoff.takes("message", **{"from": sender}, **told):
                return
        if b"text/plain" in payload:
            self.show(sender, payload.partition(b"\r\n\r\n")[2].decode(errors="replace"))

    async def left(self, switchboard, contact):
        if not any(contact in it.members for it in self.switchboards if it is not switchboard):
            await self.handoff.tell("left", peer=contact)

    async def send_invitation(self, to, payload, delivery):
        async def send():
            try:
                switchboard = await self.with_contact(to)
                switchboard.deliveries[switchboard.last + 1] = delivery
                switchboard.command("MSG", "N", payload)
            except (OSError, asyncio.TimeoutError):
                await self.handoff.tell("undelivered", delivery=delivery)

        # One after the other: messages to a contact keep their order.
        self.sending = asyncio.create_task(after(getattr(self, "sending", None), send()))

    async def type(self, contact, text):
        if await self.handoff.takes("typed", to=contact, text=text):
            return
        header = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n"
        switchboard = await self.with_contact(contact)
        switchboard.command("MSG", "N", (header + text).encode())

    def show(self, contact, line):
        print(f"{contact}: {line}", flush=True)

    async def sign_out(self):
        await self.handoff.stop()
        if hasattr(self, "sending"):
            await self.sending
        self.home.writer.write(b"OUT\r\n")
        await self.home.writer.drain()
        self.home.writer.close()


async def after(first, then):
    if first:
        await asyncio.wait([first])
    await then


async def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    client = Client(sys.argv[1], sys.argv[2])
    await client.sign_in(sys.argv[3:] or ["msn-handoff"])
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        contact, _, text = line.strip().partition(": ")
        await client.type(contact, text)
    await client.sign_out()


asyncio.run(main())
