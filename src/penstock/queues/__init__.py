"""Queues: the port, the retry policy, and one module for each broker."""
