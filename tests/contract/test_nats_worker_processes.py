"""Leases, attempts and takeover on NATS, of real processes that are killed, stopped and made deaf."""

from __future__ import annotations

import pytest
from nats_server_of_tests import ledger_entries
from worker_processes_contract import WorkerProcessesContract

from penstock.models import INGEST_QUEUE

pytestmark = pytest.mark.slow


class TestNatsWorkerProcesses(WorkerProcessesContract):
    @pytest.fixture
    def queue_url(self, nats_url: str) -> str:
        return nats_url

    async def nothing_is_left(self, queue_url: str) -> None:
        assert await ledger_entries(queue_url, INGEST_QUEUE) == 0, "nothing of the count is left"
