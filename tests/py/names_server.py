"""A server of DNS on loopback for the tests: what it says is under the test's hand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """``records``: by name and kind the addresses and their time to live; ``mute``: it says nothing; ``fails``: it says
    that it cannot; ``cut``: over UDP it has no room."""

    records: dict[tuple[str, str], tuple[list[str], int]] = field(default_factory=dict)
    mute: bool = False
    fails: bool = False
    cut: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    over_tcp: int = 0
    address: str = ""

    async def start(self, host: str = "127.0.0.1") -> NameServer:
        loop = asyncio.get_running_loop()
        while True:  # until a port is free for both
            self._udp, _ = await loop.create_datagram_endpoint(lambda: self, (host, 0))
            port = self._udp.get_extra_info("sockname")[1]
            try:
                self._tcp = await asyncio.start_server(self._stream, host, port)
                break
            except OSError:
                self._udp.close()
        self.address = f"{host}:{port}"
        return self

    def put(self, name: str, *addresses: str, ttl: int = 300, kind: str = "A") -> None:
        self.records[f"{name}.", kind] = list(addresses), ttl

    async def stop(self) -> None:
        self._udp.close()
        self._tcp.close()
        await self._tcp.wait_closed()

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        answer = self._answer(data)
        if answer is not None:
            if self.cut:
                answer.flags |= dns.flags.TC
                answer.answer.clear()
            self._udp.sendto(answer.to_wire(), peer)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(2))
        answer = self._answer(await reader.readexactly(length))
        self.over_tcp += 1
        if answer is not None:
            wire = answer.to_wire(max_size=65535)
            writer.write(len(wire).to_bytes(2) + wire)
            await writer.drain()
        writer.close()

    def _answer(self, data: bytes) -> dns.message.Message | None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if self.mute:
            return None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if self.fails:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif (name, kind) in self.records:
            addresses, ttl = self.records[name, kind]
            answer.answer.append(dns.rrset.from_text_list(question.name, ttl, "IN", kind, addresses))
        elif not any(known == name for known, _ in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer
