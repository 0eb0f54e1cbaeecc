"""Calling an assignment listener from kafka-python's rebalance, where it may use the transport.

kafka-python 3 calls listeners on its network thread, on which every blocking call of the consumer (commit, committed)
is refused. While it does so, the thread that called `poll` or `close` waits. So the listener runs on a thread of its
own, exactly as long as the caller waits: the network thread stays free to serve it and to send heartbeats.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

from kafka import AsyncConsumerRebalanceListener
from kafka import TopicPartition as KafkaPartition
from kafka.future import Future

from streamlstm.types import TopicPartition

__all__ = ["RebalanceBridge"]


class RebalanceBridge(AsyncConsumerRebalanceListener):  # type: ignore[misc]
    """Forward a rebalance; what the listener raises is kept for the caller of `poll`."""

    def __init__(
        self,
        *,
        on_assigned: Callable[[Sequence[TopicPartition]], None],
        on_revoked: Callable[[Sequence[TopicPartition]], None],
        on_lost: Callable[[Sequence[TopicPartition]], None],
        call_on_network_thread: Callable[[Callable[[], object]], object],
    ) -> None:
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._on_lost = on_lost
        self._call_on_network_thread = call_on_network_thread
        self._failure: BaseException | None = None

    async def on_partitions_assigned(self, assigned: Collection[KafkaPartition]) -> None:
        """Assign new partitions, and wait until the listener has started them."""
        await self._run(self._on_assigned, assigned)

    async def on_partitions_revoked(self, revoked: Collection[KafkaPartition]) -> None:
        """Revoke partitions, and wait until the listener has handed them back."""
        await self._run(self._on_revoked, revoked)

    async def on_partitions_lost(self, lost: Collection[KafkaPartition]) -> None:
        """Report partitions that are lost, and wait until the listener has dropped them."""
        await self._run(self._on_lost, lost)

    def raise_failure(self) -> None:
        """Raise what a listener raised since the last call, on the caller's thread."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    async def _run(
        self, action: Callable[[Sequence[TopicPartition]], None], partitions: Collection[KafkaPartition]
    ) -> None:
        if not partitions:
            return
        done = Future()
        ours = sorted(TopicPartition(partition.topic, partition.partition) for partition in partitions)

        def run() -> None:
            try:
                action(ours)
            except BaseException as failure:  # noqa: BLE001 - whatever it is, it belongs to the caller of poll
                self._failure = failure
            finally:
                self._call_on_network_thread(lambda: done.success(None))

        threading.Thread(target=run, name="streamlstm-rebalance", daemon=True).start()
        await done
