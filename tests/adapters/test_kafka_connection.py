"""Settings, causes and errors of the connection to Kafka: what can be known without a broker."""

from __future__ import annotations

import logging
import re
import threading

import pytest
from kafka.errors import (
    AuthorizationError,
    CommitFailedError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    SaslAuthenticationFailedError,
)

from streamlstm.adapters.kafka_python import KafkaSettings, administration, check, connection
from streamlstm.adapters.kafka_python.transport import _pattern
from streamlstm.errors import FencedError, TransportError, UnreachableError

SASL = {"sasl_mechanism": "PLAIN", "username": "me", "password": "secret"}


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("missing", SASL)
def test_a_login_needs_all_of_its_parts(protocol, missing):
    assert KafkaSettings("a:1", protocol, **SASL).client_options()["sasl_mechanism"] == "PLAIN"
    with pytest.raises(TransportError, match=f"{protocol} needs sasl_mechanism, username and password"):
        KafkaSettings("a:1", protocol, **{**SASL, missing: None}).client_options()


@pytest.mark.parametrize("name", ["ca_file", "cert_file", "key_file"])
def test_files_must_be_there(name, tmp_path):
    file = tmp_path / "it.pem"
    with pytest.raises(TransportError, match=rf"{name} .*it\.pem does not exist or cannot be read"):
        KafkaSettings("a:1", "SSL", **{name: str(file)}).client_options()
    file.touch()
    assert str(file) in KafkaSettings("a:1", "SSL", **{name: str(file)}).client_options().values()


def test_settings_are_handed_over_in_the_clients_units_and_secrets_are_not_shown():
    settings = KafkaSettings("a:1, b:2", connect_timeout_s=2.5, key_password="hidden", **SASL)
    options = settings.client_options()
    assert options["bootstrap_servers"] == ["a:1", "b:2"]
    assert options["bootstrap_timeout_ms"] == 2500
    assert options["sasl_mechanism"] is None, "the protocol is PLAINTEXT: no login"
    assert not re.search("secret|hidden", repr(settings))


def test_clients_make_no_topics_of_their_own_and_what_they_write_is_acknowledged_by_all(monkeypatch):
    """A mistyped topic must not come into being, on brokers that would make it (the tests' broker would not)."""
    monkeypatch.setattr(connection, "_connect", lambda client, settings, **options: options)
    settings = KafkaSettings("a:1")
    consumer, producer = connection.connect_consumer(settings), connection.connect_producer(settings)
    assert consumer["allow_auto_create_topics"] is producer["allow_auto_create_topics"] is False
    assert (consumer["isolation_level"], consumer["enable_auto_commit"]) == ("read_committed", False)
    assert (producer["acks"], producer["enable_idempotence"]) == ("all", True)


@pytest.mark.parametrize(
    ("raised", "expected", "sentence"),
    [
        (CommitFailedError(), FencedError, "could not commit: the group has moved on without this worker"),
        (SaslAuthenticationFailedError(), UnreachableError, "could not commit: not allowed"),
        (AuthorizationError(), UnreachableError, "check user name and access rules"),
        (KafkaTimeoutError("after 15 s"), UnreachableError, "after 15 s; is the broker up?"),
        (MessageSizeTooLargeError("too large"), TransportError, "could not commit: .*too large$"),
        (ValueError("not a topic"), TransportError, "could not commit: not a topic"),
    ],
)
def test_what_the_client_raises_becomes_one_of_our_errors(raised, expected, sentence):
    with pytest.raises(TransportError, match=sentence) as caught, connection.errors("commit"):
        raise raised
    assert type(caught.value) is expected
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize(
    ("lines", "protocol", "sentence"),
    [
        (["x", "SaslAuthenticationFailed: no"], "SASL_SSL", "refused user 'me' with PLAIN: check user name"),
        (["UnsupportedSaslMechanism"], "SASL_SSL", "does not offer SASL mechanism PLAIN"),
        (["ssl: CERTIFICATE_VERIFY_FAILED"], "SSL", r"not trusted \(CA file: None\)"),
        (["ECONNREFUSED", "Invalid frame length 352518912"], "PLAINTEXT", "speaks TLS there"),
        (["WRONG_VERSION_NUMBER"], "SSL", "does not speak TLS there, but security_protocol is SSL"),
        (["broker_version=(4, 0)> Connection lost: socket disconnected"], "SASL_SSL", "hung up while user 'me' was"),
        (["broker_version=(4, 0)> Connection lost: socket disconnected"], "PLAINTEXT", "asks for a login"),
        (["socket disconnected"], "PLAINTEXT", "closed, or timed out, before the broker answered"),
        (["DNS lookup failed", "socket disconnected"], "PLAINTEXT", "host name cannot be resolved"),
        (["ECONNREFUSED"], "PLAINTEXT", "nothing listens there"),
        (["something else", "and more"], "PLAINTEXT", "^something else$"),
    ],
)
def test_the_likeliest_cause_in_the_clients_log_becomes_the_sentence(lines, protocol, sentence):
    settings = KafkaSettings("a:1", protocol, **SASL)

    def build(**_):
        for line in lines:
            logging.getLogger("kafka.net").warning(line)
        raise KafkaTimeoutError("unable to bootstrap")

    logger = logging.getLogger("kafka")
    before = logger.propagate, list(logger.handlers)
    with pytest.raises(UnreachableError) as caught:
        connection._connect(build, settings)
    prefix, _, cause = str(caught.value).partition("cannot reach Kafka at a:1: ")
    assert not prefix
    assert re.search(sentence, cause)
    assert (logger.propagate, list(logger.handlers)) == before


def test_without_a_word_in_the_log_the_error_is_its_own_cause():
    def build(**_):
        raise KafkaTimeoutError("unable to bootstrap")

    with pytest.raises(UnreachableError, match=r"a:1: .*unable to bootstrap"):
        connection._connect(build, KafkaSettings("a:1"))


@pytest.mark.parametrize("failure", [KafkaError, ValueError, RuntimeError, KeyboardInterrupt, MemoryError])
def test_a_constructor_that_raises_leaves_nothing_open(failure):
    """The fixture of the folder holds that the client is closed."""
    clients = []

    def build(kafka_client, **options):
        clients.append(kafka_client(**options))
        clients[-1]._net.start()
        raise failure("half-way")

    before = set(threading.enumerate())
    with pytest.raises((TransportError, failure)) as caught:
        connection._connect(build, KafkaSettings("127.0.0.1:1"))
    assert isinstance(caught.value, TransportError) == issubclass(failure, KafkaError | ValueError)
    assert clients[0]._manager.closed
    assert set(threading.enumerate()) <= before


def test_an_address_without_a_port_number_is_refused_with_a_sentence():
    """Here it is the client's own constructor that raises: the fixture holds that its sockets are closed."""
    (finding,) = check(KafkaSettings("127.0.0.1:port"), topics=["in"])
    assert not finding.is_good
    assert re.match(r"cannot connect to Kafka at 127\.0\.0\.1:port: .*expected HOST:PORT", finding.detail)


class Admin:
    """A cluster with topics `in` and `out`; `refused` may not be created, and `raced` appears meanwhile."""

    def __init__(self):
        self.created, self.awaited, self.is_closed = {}, None, False

    def list_topics(self):
        return ["in", "out"]

    def describe_topics(self):
        return [{"name": name, "partitions": [None] * number} for number, name in enumerate(("in", "out"), 1)]

    def create_topics(self, topics, *, validate_only=False):
        ((name, shape),) = topics.items()
        if name == "refused":
            raise AuthorizationError("no")
        if name == "raced":
            raise administration.TopicAlreadyExistsError
        if not validate_only:
            self.created[name] = shape

    def wait_for_topics(self, names, timeout_ms):
        self.awaited = names

    def close(self):
        self.is_closed = True


@pytest.fixture
def admin(monkeypatch):
    made = Admin()
    monkeypatch.setattr(administration, "connect_admin", lambda settings: made)
    return made


def test_topics_that_are_missing_are_created_as_told_and_the_others_left_alone(admin):
    settings = KafkaSettings("a:1")
    wanted = {"in": {"partitions": 9}, "raced": {}, "few": {"partitions": 3}, "newest": {"compacted": True}}
    administration.create_missing_topics(settings, wanted, {"segment.bytes": "5"})
    assert admin.created == {
        "few": {"num_partitions": 3, "configs": {"segment.bytes": "5"}},
        "newest": {"num_partitions": -1, "configs": {"cleanup.policy": "compact", "segment.bytes": "5"}},
    }
    assert admin.awaited == ["raced", "few", "newest"]
    assert admin.is_closed


def test_a_topic_that_may_not_be_created_is_an_error_and_the_client_is_closed(admin):
    with pytest.raises(UnreachableError, match="could not create the topics refused: not allowed"):
        administration.create_missing_topics(KafkaSettings("a:1"), {"refused": {}})
    assert admin.is_closed


def test_no_topics_need_no_connection(monkeypatch):
    monkeypatch.setattr(administration, "connect_admin", pytest.fail)
    administration.create_missing_topics(KafkaSettings("a:1"), {})


def test_check_has_a_finding_for_every_topic_and_creates_none(admin):
    outputs = {"out": {}, "new": {"partitions": 2}, "refused": {}}
    findings = check(KafkaSettings("a:1"), topics=["in", "o*", "absent", "later?"], output_topics=outputs)
    assert [(finding.subject, finding.is_good) for finding in findings] == [
        ("kafka a:1", True),
        ("input in", True),
        ("input o*", True),
        ("input absent", False),
        ("input later?", True),
        ("output out", True),
        ("output new", True),
        ("output refused", False),
    ]
    assert [findings[number].detail for number in (1, 2)] == ["in (1 partition)", "out (2 partitions)"]
    assert "exists (2 partitions)" in findings[5].detail
    assert admin.created == {}
    assert admin.is_closed


def test_check_reports_a_cluster_that_does_not_list_its_topics(admin, monkeypatch):
    def describe():
        raise KafkaTimeoutError("too slow")

    monkeypatch.setattr(admin, "describe_topics", describe)
    answers, lists = check(KafkaSettings("a:1"), topics=["in"])
    assert (answers.is_good, lists.is_good) == (True, False)
    assert "could not list topics: " in lists.detail
    assert admin.is_closed


def test_a_pattern_of_topics_never_matches_the_own_outputs():
    def matches(topics, own, names):
        pattern = re.compile(_pattern(topics, own))
        return [name for name in names if pattern.match(name)]

    names = ["ward.a", "ward.scores", "ward.scores2", "pumps", "pumps2", "wardXscores"]
    assert matches(["ward.*", "pumps"], ["ward.scores", "s"], names) == ["ward.a", "ward.scores2", "pumps"]
    assert matches(["*"], ["ward.scores"], names) == [name for name in names if name != "ward.scores"]
    assert matches(["pump?"], [], names) == ["pumps"]
    assert [administration.is_pattern(topic) for topic in ("in", "in*", "i?", "[ab]")] == [False, True, True, True]
