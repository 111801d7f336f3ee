"""What a host is called in numbers: by /etc/hosts, else by DNS, with search domains as the machine has them.

IPv6 addresses are taken where there are no IPv4 ones. Nothing here blocks: it runs in the turns of the caller's loop.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Mapping

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver

from meshfast.model import Dns
from meshfast.source.names import Found, Unknown

__all__ = ["Resolver"]

HOSTS, CONF = "/etc/hosts", "/etc/resolv.conf"
PAYLOAD = 1232  # bytes that UDP carries anywhere in one piece
HOSTS_KEPT = 5.0  # seconds, for what /etc/hosts says
HOSTS_MOST = 1 << 20  # bytes of it that are read

Stamp = tuple[int, int, int] | None


class Resolver:
    """Asks for names, with the machine's files as they are then."""

    def __init__(self, dns_: Dns, hosts: str = HOSTS, conf: str = CONF) -> None:
        self._dns, self._hosts_at, self._conf_at = dns_, hosts, conf
        self._hosts: tuple[Stamp, Mapping[str, tuple[str, ...]]] = (None, {})
        self._resolver: tuple[Stamp, dns.asyncresolver.Resolver] | None = None

    async def ask(self, host: str) -> Found:
        """:raises Unknown: nobody says an address"""
        written = self._written(host)
        if written:
            return Found(written, HOSTS_KEPT)
        resolver = self._asked()
        for kind in ("A", "AAAA"):
            found = await self._records(resolver, host, kind)
            if found.addresses:
                return found
        raise Unknown("it has no address")

    async def _records(self, resolver: dns.asyncresolver.Resolver, host: str, kind: str) -> Found:
        try:
            answer = await resolver.resolve(host, kind, raise_on_no_answer=False, search=True)
        except dns.resolver.NXDOMAIN:
            raise Unknown("there is no such name") from None
        except (dns.exception.DNSException, OSError, ValueError) as error:
            raise Unknown(" ".join(str(error).split())[:200] or type(error).__name__) from None
        if answer.rrset is None:
            return Found((), 0)
        addresses = (record.address for record in answer.rrset)
        return Found(tuple(filter(_is_host, addresses)), answer.chaining_result.minimum_ttl)

    def _asked(self) -> dns.asyncresolver.Resolver:
        stamp = _stamp(self._conf_at)
        if self._resolver is None or self._resolver[0] != stamp:
            made = dns.asyncresolver.Resolver(configure=False)
            with contextlib.suppress(dns.resolver.NoResolverConfiguration):
                made.read_resolv_conf(self._conf_at)
            made.use_edns(0, 0, PAYLOAD)
            if self._dns.servers or not made.nameservers:
                made.nameservers = [_server(one) for one in self._dns.servers or ("127.0.0.1:53",)]
            made.lifetime = self._dns.timeout_ms / 1000
            self._resolver = stamp, made
        return self._resolver[1]

    def _written(self, host: str) -> tuple[str, ...]:
        stamp = _stamp(self._hosts_at)
        if stamp != self._hosts[0]:
            self._hosts = stamp, _hosts(self._hosts_at)
        return self._hosts[1].get(host.rstrip(".").lower(), ())


def _is_host(address: str) -> bool:
    """Not what blocks a name (0.0.0.0), and no group."""
    found = ipaddress.ip_address(address)
    return not found.is_unspecified and not found.is_multicast


def _server(text: str) -> dns.nameserver.Nameserver:
    host, _, port = text.rpartition(":")
    return dns.nameserver.Do53Nameserver(host.strip("[]"), int(port))


def _stamp(path: str) -> Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _hosts(path: str) -> dict[str, tuple[str, ...]]:
    """By name, the addresses of a hosts file; those of IPv6 where there are no others."""
    out: dict[str, list[str]] = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(HOSTS_MOST)
    except OSError:
        return {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        try:
            number = str(ipaddress.ip_address(address))
        except ValueError:
            continue
        for name in names:
            out.setdefault(name.lower(), []).append(number)
    return {name: tuple([a for a in found if ":" not in a] or found) for name, found in out.items()}
