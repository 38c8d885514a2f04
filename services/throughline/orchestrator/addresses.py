"""Where the host name of a webhook leads: an allowed name must not be a way to this machine or to a cloud's metadata."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import urllib.request
from urllib.parse import urlsplit

from throughline.domain.errors import DependencyUnavailable, PermissionDenied
from throughline.orchestrator.targets import is_loopback

_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200")))
"""Of clouds that serve their machines' credentials at an address that is not link-local."""


_NAT64, _COMPATIBLE = ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96")


async def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of a host name; raise DependencyUnavailable where it has none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DependencyUnavailable(f"the webhook's host {host} has no address: {error}; check its name") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def check_addresses(host: str, addresses: list[str]) -> None:
    """Raise PermissionDenied where a host leads to an address that only its own name may lead to, or none."""
    for text in addresses:
        if is_forbidden(text) and not (is_loopback(host) and is_loopback(text)):
            raise PermissionDenied(
                f"the webhook's host {host} leads to {text}, which is no place for webhooks; check its name and its DNS"
            )


def is_forbidden(address: str) -> bool:
    """Whether an address is this machine's own, link-local, a group's, or one where a cloud gives out credentials."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        ip = _within(ip) or ip
    own = ip.is_loopback or ip.is_unspecified
    return own or ip.is_link_local or ip.is_multicast or ip in _METADATA


def _within(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: mapped, by 6to4, by NAT64, or of the old compatible form."""
    if ip in _NAT64 or (ip in _COMPATIBLE and int(ip) > 1):
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour


def is_proxied(url: str) -> bool:
    """Whether the environment names a proxy for a URL; the proxy then looks its host up, and decides where it may lead."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    return bool(proxies.get(parts.scheme) or proxies.get("all")) and not urllib.request.proxy_bypass(parts.netloc)
