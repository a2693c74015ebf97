"""A worker process of the tests: `queue_worker.py URL NAME LEASE HARD_LIMIT CONCURRENCY`.

What it does with a message says the number in its file id. It prints `began N`, `done N` and `stopped`.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys

from pydantic import SecretStr

from penstock.models import INGEST_QUEUE
from penstock.queues.nats import NatsQueues
from penstock.queues.policy import RetryPolicy
from penstock.queues.port import Delivery, Done, Queues, Verdict
from penstock.queues.redis import RedisQueues
from penstock.queues.sqs import SqsQueues
from penstock.settings import QueueSettings

POISON, DEAF, SLEEPER, STUCK = 666, 777, 888, 999
"""Kills its worker; keeps the interpreter lock for 3 s; takes 1 s; keeps the interpreter lock for 60 s."""


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def handle(delivery: Delivery) -> Verdict:
    number = delivery.message.file_id.int
    if hopeless := RetryPolicy().after_deaths(delivery.attempt):
        return hopeless
    say("began", number, delivery.attempt)
    if number == POISON:
        await asyncio.sleep(0.1)  # so that others are in work beside it
        os.kill(os.getpid(), signal.SIGKILL)
    elif number in (DEAF, STUCK):
        ctypes.PyDLL(None).sleep(3 if number == DEAF else 60)  # PyDLL does not let go of the lock
    elif number == SLEEPER:
        await asyncio.sleep(1)
    else:
        await asyncio.sleep(0.05)
    say("done", number)
    return Done()


async def open_at(url: str, worker: str, lease: float, *, drain_seconds: float = 20) -> Queues:
    """The queues behind a URL, opened."""
    settings = QueueSettings(url=SecretStr(url), lease_seconds=lease)
    if url.startswith("nats:"):
        queues = NatsQueues(settings, worker=worker, drain_seconds=drain_seconds)
    elif url.startswith("sqs:"):
        queues = SqsQueues(settings, worker=worker, drain_seconds=drain_seconds, poll_seconds=1)
    else:
        queues = RedisQueues(settings, worker=worker, drain_seconds=drain_seconds)
    await queues.open()
    return queues


async def main(url: str, name: str, lease: str, hard_limit: str, concurrency: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    queues = await open_at(url, name, float(lease))
    await queues.consume(INGEST_QUEUE, handle, concurrency=int(concurrency), hard_limit=float(hard_limit), stop=stop)
    await queues.close()
    say("stopped")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
