"""msn-handoff for a Python client: the plug-in itself. It needs nothing but Python 3.9.

The client gives it four things:

    async def deliver(to, payload, delivery)   sends an invitation message (bytes), or raises OSError
    def show(peer, line)                       shows a line in the window with `peer`
    def happened(event)                        is told each event, a dict (docs/CONTROL.md)
    def gone()                                 is told that msn-handoff has ended

and tells it what arrives: `signed_in`, `message`, `typed`, `left`, `undelivered`. What goes over the
pipe is in docs/STDIO.md. `small_client.py` beside this file uses all of it.
"""

import asyncio
import base64
import json


class Refused(Exception):
    """msn-handoff did not do it: `reason` is a word for programs, the text is for people."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.reason = error["reason"]


class Handoff:
    """A running msn-handoff, and the way to it."""

    @classmethod
    async def start(cls, client, program="msn-handoff", *options):
        self = cls()
        self.client = client
        self.number, self.answers = 0, {}
        self.sends = asyncio.Queue()
        self.process = await asyncio.create_subprocess_exec(
            program,
            "stdio",
            *options,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
            # Ctrl-C is for the client, which then says goodbye in its own order.
            start_new_session=True,
        )
        greeting = json.loads(await self.process.stdout.readline() or "{}")
        if greeting.get("protocol") != 1:
            raise OSError(f"{program} does not speak version 1 of the protocol")
        self.delivering = asyncio.create_task(self._deliver())
        self.reading = asyncio.create_task(self._read())
        return self

    # What the client tells.

    async def signed_in(self, account, address=None):
        await self.ask("signed-in", account=account, address=address)

    async def signed_out(self):
        await self.ask("signed-out")

    async def message(self, sender, payload):
        """Whether this invitation message was for msn-handoff. Then nobody else is shown it."""
        try:
            what = {"payload": payload.decode()}
        except UnicodeDecodeError:
            what = {"base64": base64.b64encode(payload).decode()}
        return await self._taken("message", **{"from": sender}, **what)

    async def typed(self, to, text):
        """Whether this line was a command, such as /accept. Then it is not sent."""
        return await self._taken("typed", to=to, text=text)

    async def left(self, peer):
        await self.ask("left", peer=peer)

    async def undelivered(self, delivery):
        await self.ask("undelivered", delivery=delivery)

    async def close(self):
        """Ends everything. The contacts are told, so the client must still be signed in."""
        self.process.stdin.close()
        await self.reading
        await self.sends.join()
        self.delivering.cancel()
        return await self.process.wait()

    async def ask(self, verb, **arguments):
        """Any verb of docs/CONTROL.md and docs/STDIO.md: `await handoff.ask("list")`."""
        if self.process.stdin.is_closing() or self.reading.done():
            raise ConnectionError("msn-handoff has ended")
        self.number += 1
        number = self.number
        answer = self.answers[number] = asyncio.get_running_loop().create_future()
        try:
            line = {"id": number, "verb": verb, **arguments}
            self.process.stdin.write(json.dumps(line).encode() + b"\n")
            await self.process.stdin.drain()
            return await answer
        finally:
            del self.answers[number]

    # What the client is told.

    async def _taken(self, verb, **arguments):
        try:
            return (await self.ask(verb, **arguments))["verdict"] == "taken"
        except (ConnectionError, Refused):
            # Without us the client does what it always did.
            return False

    async def _read(self):
        while line := await self.process.stdout.readline():
            line = json.loads(line)
            if "send" in line:
                # Not here: to open a conversation takes time, and answers must be read meanwhile.
                self.sends.put_nowait(line["send"])
            elif "show" in line:
                self.client.show(line["show"]["peer"], line["show"]["line"])
            elif "event" in line:
                self.client.happened(line["event"])
            else:
                self._answered(line)
        for answer in self.answers.values():
            if not answer.done():
                answer.set_exception(ConnectionError("msn-handoff has ended"))
        self.client.gone()

    def _answered(self, line):
        answer = self.answers.get(line.get("id"))
        if answer is None or answer.done():
            return
        if "error" in line:
            answer.set_exception(Refused(line["error"]))
        else:
            answer.set_result(line["ok"])

    async def _deliver(self):
        """One at a time, so that messages keep their order."""
        while True:
            send = await self.sends.get()
            payload = send["payload"].encode() if "payload" in send else base64.b64decode(send["base64"])
            try:
                await self.client.deliver(send["to"], payload, send["delivery"])
            except (OSError, EOFError, asyncio.TimeoutError):
                try:
                    await self.undelivered(send["delivery"])
                except (ConnectionError, Refused):
                    pass
            finally:
                self.sends.task_done()
