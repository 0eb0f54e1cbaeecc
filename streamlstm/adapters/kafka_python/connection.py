"""Connecting kafka-python's clients, and turning what they raise and log into our errors.

A first connection that fails raises only `KafkaTimeoutError: Unable to bootstrap`; the cause stands in the client's
log. So the log is read while connecting, and the likeliest cause becomes the error's sentence.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import (
    AuthorizationError,
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    InvalidProducerEpochError,
    KafkaError,
    ProducerFencedError,
    RebalanceInProgressError,
    RetriableError,
    SaslAuthenticationFailedError,
    UnknownMemberIdError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.selector import NetworkSelector

from streamlstm.adapters.kafka_python.settings import KafkaSettings
from streamlstm.errors import FencedError, TransportError, UnreachableError

__all__ = [
    "DELIVERY_TIMEOUT_MS",
    "REQUEST_TIMEOUT_MS",
    "connect_admin",
    "connect_consumer",
    "connect_producer",
    "errors",
]

REQUEST_TIMEOUT_MS = 15_000
"""A broker on the same network answers in milliseconds; after this the connection is taken for dead."""
DELIVERY_TIMEOUT_MS = 60_000
"""Retries within one commit: a broker's restart (2-5 s here, a minute on loaded machines) must fit in."""

_FENCED = (
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    InvalidProducerEpochError,
    ProducerFencedError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

# Patterns of the client's log, the likeliest cause first, and what each means to an operator.
_CAUSES = (
    (
        "SaslAuthenticationFailed",
        "the broker refused user {s.username!r} with {s.sasl_mechanism}: check user name and password",
    ),
    ("UnsupportedSaslMechanism", "the broker does not offer SASL mechanism {s.sasl_mechanism}: set one that it offers"),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "the broker's certificate is not trusted (CA file: {s.ca_file}): set ca_file to the authority that signed it, "
        "and use the host name that it was issued for",
    ),
    ("Invalid frame length", "the broker speaks TLS there, but security_protocol is {s.security_protocol}"),
    (
        "WRONG_VERSION_NUMBER|UNEXPECTED_EOF|RECORD_LAYER_FAILURE",
        "the broker does not speak TLS there, but security_protocol is {s.security_protocol}",
    ),
    # The broker's refusal and its hanging up often arrive together, and then the client sees the latter alone. A broker
    # whose version is known had answered before.
    (r"broker_version=\(.*Connection lost: .*disconnected", "{after_greeting}"),
    ("DNS", "the host name cannot be resolved"),
    ("ECONNREFUSED", "nothing listens there (connection refused): is the broker running?"),
    (
        "socket disconnected",
        "the connection was closed, or timed out, before the broker answered: check the address, and whether the "
        "listener is meant for security_protocol {s.security_protocol}",
    ),
)

_connecting = threading.Lock()


def connect_consumer(settings: KafkaSettings, **options: Any) -> KafkaConsumer:
    """Connect a consumer that reads committed records only and never commits by itself."""
    return _connect(
        KafkaConsumer,
        settings,
        # Also makes `committed` ask for stable offsets; without it kafka-python returns old ones after a transaction.
        isolation_level="read_committed",
        enable_auto_commit=False,
        allow_auto_create_topics=False,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        **options,
    )


def connect_producer(settings: KafkaSettings) -> KafkaProducer:
    """Connect an idempotent producer that waits for every in-sync replica."""
    return _connect(
        KafkaProducer,
        settings,
        acks="all",
        enable_idempotence=True,
        allow_auto_create_topics=False,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        delivery_timeout_ms=DELIVERY_TIMEOUT_MS,
        max_block_ms=REQUEST_TIMEOUT_MS,
        # A round's outputs go out in few requests: up to 256 KiB or 5 ms, whichever is first; flush() cuts it short.
        batch_size=262_144,
        linger_ms=5,
    )


def connect_admin(settings: KafkaSettings) -> KafkaAdminClient:
    """Connect an administrative client."""
    return _connect(KafkaAdminClient, settings, request_timeout_ms=REQUEST_TIMEOUT_MS)


@contextmanager
def errors(action: str) -> Iterator[None]:
    """Turn what kafka-python raises in the block into one of our errors; `action` completes "could not ..."."""
    try:
        yield
    except _FENCED as error:
        raise FencedError(
            f"could not {action}: the group has moved on without this worker ({error}); "
            "its partitions belong to another one now, or it was silent for longer than the session time-out"
        ) from error
    except (SaslAuthenticationFailedError, AuthorizationError) as error:
        raise UnreachableError(
            f"could not {action}: not allowed ({error}); check user name and access rules"
        ) from error
    except RetriableError as error:
        raise UnreachableError(f"could not {action}: {error}; is the broker up?") from error
    except (KafkaError, ValueError, TypeError) as error:
        raise TransportError(f"could not {action}: {error}") from error


class _CauseLog(logging.Handler):
    """Keeps what the client logs while it connects."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _connect(build: Callable[..., Any], settings: KafkaSettings, **options: Any) -> Any:
    """Build a client, which connects at once.

    Raises: UnreachableError with the cause within `settings.connect_timeout_s`; TransportError for an address that is
    none. What was opened is closed then.
    """
    made: list[NetworkSelector | KafkaNetClient] = []

    def make(**configs: Any) -> KafkaNetClient:
        made.append(NetworkSelector(**configs))
        made.append(KafkaNetClient(net=made[0], **configs))
        return made[-1]

    common = settings.client_options()
    causes = _CauseLog()
    logger = logging.getLogger("kafka")
    # The logger is the process's own, so one connection is made at a time.
    with _connecting:
        propagate, logger.propagate = logger.propagate, False
        logger.addHandler(causes)
        try:
            return build(kafka_client=make, **common, **options)
        except BaseException as error:
            # A constructor that raises leaves its sockets open, and its network thread running.
            for part in reversed(made):
                part.close()
            if isinstance(error, KafkaError):
                raise UnreachableError(
                    f"cannot reach Kafka at {settings.bootstrap_servers}: {_cause(causes.lines, settings) or error}"
                ) from error
            if isinstance(error, ValueError | TypeError):  # what kafka-python makes of an address without a port number
                raise TransportError(
                    f"cannot connect to Kafka at {settings.bootstrap_servers}: {error}; "
                    "expected HOST:PORT, several separated by commas"
                ) from error
            raise
        finally:
            logger.removeHandler(causes)
            logger.propagate = propagate


def _cause(lines: list[str], settings: KafkaSettings) -> str | None:
    text = "\n".join(lines)
    if settings.security_protocol.startswith("SASL"):
        after_greeting = (
            f"the broker hung up while user {settings.username!r} was authenticating with {settings.sasl_mechanism}: "
            "check user name, password and sasl_mechanism"
        )
    else:
        after_greeting = (
            "the broker hung up after its greeting: it asks for a login, but security_protocol is "
            f"{settings.security_protocol}; set SASL_SSL or SASL_PLAINTEXT, sasl_mechanism, username and password"
        )
    for pattern, sentence in _CAUSES:
        if re.search(pattern, text):
            return sentence.format(s=settings, after_greeting=after_greeting)
    return lines[0] if lines else None
