"""What is said of a Redis that does not let us in, or is away."""

from __future__ import annotations

from asyncio import to_thread

import pytest
from pydantic import SecretStr
from redis_servers import PASSWORD, PREFIX

from penstock.cli.checks import check_queue
from penstock.errors import InvalidSettings, ServiceUnavailable
from penstock.queues.redis import RedisQueues
from penstock.settings import QueueSettings


def settings_of(url: str, prefix: str = PREFIX) -> QueueSettings:
    return QueueSettings(url=SecretStr(url), prefix=prefix)


async def problem_with(
    settings: QueueSettings, kind: type[InvalidSettings | ServiceUnavailable] = InvalidSettings
) -> str:
    """What a role that starts says. The doctor says the same."""
    queues = RedisQueues(settings, worker="worker")
    with pytest.raises(kind) as caught:
        await queues.open()
    await queues.close()
    check = await to_thread(check_queue, settings)
    assert (check.state, check.found) == ("error", caught.value.message)
    assert check.advice
    assert "p:w/d" not in check.found
    assert PASSWORD not in check.found
    return caught.value.message
