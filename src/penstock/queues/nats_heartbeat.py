"""The heartbeat of a Worker whose queue is on NATS: `python -m penstock.queues.nats_heartbeat`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from penstock.errors import PenstockError
from penstock.queues.heartbeat import Renew, beat
from penstock.queues.nats_address import nats_address
from penstock.queues.nats_client import ANSWER_SECONDS, Errors, Nats
from penstock.queues.nats_ledger import Ledger
from penstock.queues.nats_messages import handout_of

IN_PROGRESS = b"+WPI"


def open_renewal(order: dict[str, Any]) -> Renew:
    """Told the `url` of the installation, and which stream is the queue's `ledger`.

    Its messages go by the subjects of their acknowledgements. JetStream would renew a lease for anybody who was ever
    handed the message: the ledger says whether it is still ours.
    """
    nats = Nats(nats_address(order["url"]))
    ledger = Ledger(nats, order["ledger"])
    loop = asyncio.new_event_loop()  # it answers the server's pings while there is nothing to renew
    threading.Thread(target=loop.run_forever, name="nats", daemon=True).start()

    async def renew_one(ack: str) -> None:
        if await ledger.holds(handout_of(ack)):
            await nats.request(ack, IN_PROGRESS)

    async def renew_all(ids: Sequence[str]) -> None:
        async with asyncio.timeout(2 * ANSWER_SECONDS):
            await asyncio.gather(*map(renew_one, ids))

    def renew(ids: Sequence[str]) -> None:
        try:
            asyncio.run_coroutine_threadsafe(renew_all(ids), loop).result()
        except (PenstockError, *Errors):
            return  # the Worker has said that NATS is away; it is tried again with the next beat

    return renew


if __name__ == "__main__":
    beat(open_renewal)
