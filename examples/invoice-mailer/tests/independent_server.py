"""An independent mail server for the test beside this file.

It uses aiosmtpd, so that mailer and server cannot share a mistake. It refuses recipients whose
local part begins with "gone" permanently and with "later" temporarily, and writes each accepted
message to its own file.
"""

import argparse
import asyncio
import pathlib
import signal

from aiosmtpd.smtp import SMTP


class Handler:
    def __init__(self, folder):
        self.folder = folder
        self.accepted = 0

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address.lower().startswith("gone"):
            return f"550 5.1.1 <{address}>: no such mailbox here"
        if address.lower().startswith("later"):
            return f"451 4.2.1 <{address}>: mailbox busy, try again later"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        self.accepted += 1
        path = self.folder / f"{self.accepted:06}.eml"
        # A file with the final name is always complete.
        partial = path.with_suffix(".partial")
        partial.write_bytes(envelope.original_content)
        partial.rename(path)
        return "250 2.0.0 OK"


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="directory of accepted messages")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    handler = Handler(arguments.folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="localhost", ident="independent"),
        "127.0.0.1",
        arguments.port,
    )
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    print(f"listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await stopped.wait()
    server.close()


asyncio.run(main())
