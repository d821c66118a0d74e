"""The Dask schedulers that a fleet may use, and their certificates: a scheduler runs code on every worker."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from sweetspot.rigs.errors import BadInput

ADDRESS = re.compile(
    r"(?:(?P<scheme>[a-z]+)://)?(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})"
)

OPTIONS = {"ca": "--tls-ca", "cert": "--tls-cert", "key": "--tls-key"}


@dataclass(frozen=True, slots=True)
class Certificates:
    """Certificate files in PEM form; missing ones come from Dask's configuration.

    Parameters
    ----------
    ca
        Of the authority that signed the cluster's certificates.
    cert, key
        This computer's own, as a client of the cluster.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def given(self) -> dict[str, Path]:
        """The files that were given, by option."""
        files = {"ca": self.ca, "cert": self.cert, "key": self.key}
        return {OPTIONS[name]: path for name, path in files.items() if path is not None}


@dataclass(frozen=True, slots=True)
class Scheduler:
    """Address of a Dask scheduler, and its certificates; see :meth:`checked`."""

    address: str
    certificates: Certificates = Certificates()

    @property
    def encrypted(self) -> bool:
        """Whether the connection is TLS."""
        return self.address.startswith("tls://")

    @classmethod
    def checked(cls, address: str, certificates: Certificates, *, insecure: bool) -> Scheduler:
        """A scheduler with a permitted address.

        Parameters
        ----------
        address
            ``tls://HOST:PORT`` or ``tcp://HOST:PORT``; without a scheme it is TCP.
        insecure
            Whether plain TCP may go to another computer.

        Raises
        ------
        BadInput
            No such address; plain TCP to another computer; certificates that are missing or that TCP has no use for.
        """
        found = ADDRESS.fullmatch(address)
        scheme = (found["scheme"] or "tcp") if found else ""
        if found is None or scheme not in ("tcp", "tls") or not 0 < int(found["port"]) < 1 << 16:
            raise BadInput(f"--scheduler: {address!r} is not an address; tls://HOST:PORT or tcp://HOST:PORT is needed")
        host = found["v6"] or found["host"]
        given = certificates.given
        for option, path in given.items():
            if not path.is_file():
                raise BadInput(f"{option}: {path}: no such file; a file in PEM form is needed")
        if scheme == "tcp" and given:
            raise BadInput(f"{', '.join(given)}: --scheduler {address} is plain TCP; write tls:// to use certificates")
        if scheme == "tcp" and not insecure and not _loopback(host):
            raise BadInput(
                f"--scheduler: {address} is plain TCP to another computer: anyone on that network can run code on "
                f"every worker and here. Use tls:// with --tls-ca, --tls-cert and --tls-key; or --insecure, on a "
                f"network that "
                "you trust"
            )
        return cls(address if found["scheme"] else f"tcp://{address}", certificates)


def _loopback(host: str) -> bool:
    """Whether a host is this computer; names other than ``localhost`` are not looked up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
