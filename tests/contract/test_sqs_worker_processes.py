"""Leases, attempts and takeover on SQS, of real processes that are killed, stopped and made deaf."""

from __future__ import annotations

import pytest
from worker_processes_contract import WorkerProcessesContract

pytestmark = pytest.mark.slow


class TestSqsWorkerProcesses(WorkerProcessesContract):
    lease = 2.0
    """Of SQS' own whole seconds; of one, a busy machine would use up too much."""

    @pytest.fixture
    def queue_url(self, sqs_url: str) -> str:
        return sqs_url
