"""How to reach a Kafka cluster. Secrets never appear in the representation."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Literal

from streamlstm.errors import TransportError

__all__ = ["KafkaSettings"]


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where the brokers are, and who we are to them."""

    bootstrap_servers: str
    """HOST:PORT, several separated by commas."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    """PEM file with the authority that signed the brokers' certificates; None: those of the system."""
    cert_file: str | None = None
    """PEM file with this client's certificate, where brokers ask for one."""
    key_file: str | None = None
    key_password: str | None = field(default=None, repr=False)
    client_id: str = "streamlstm"
    connect_timeout_s: float = 10.0
    """How long a first connection is tried before it is given up."""

    def client_options(self) -> dict[str, Any]:
        """Return the options that every kafka-python client takes.

        Raises: TransportError when a file is missing or the parts of the settings contradict each other.
        """
        for name in ("ca_file", "cert_file", "key_file"):
            path = getattr(self, name)
            if path is not None and not os.access(path, os.R_OK):
                raise TransportError(f"Kafka settings: {name} {path} does not exist or cannot be read")
        needs_sasl = self.security_protocol.startswith("SASL")
        if needs_sasl and (self.sasl_mechanism is None or self.username is None or self.password is None):
            raise TransportError(
                f"Kafka settings: security_protocol {self.security_protocol} needs "
                "sasl_mechanism, username and password"
            )
        return {
            "bootstrap_servers": [server.strip() for server in self.bootstrap_servers.split(",")],
            "bootstrap_timeout_ms": int(self.connect_timeout_s * 1000),
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.sasl_mechanism if needs_sasl else None,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
            "ssl_cafile": self.ca_file,
            "ssl_certfile": self.cert_file,
            "ssl_keyfile": self.key_file,
            "ssl_password": self.key_password,
            # A broker that restarts is back within seconds: try at least every 2 s (the client's own limit is 30 s).
            "reconnect_backoff_max_ms": 2000,
        }
