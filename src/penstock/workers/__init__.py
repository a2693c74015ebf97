"""The two Workers: each binds one step of the pipeline to its queue and keeps it running.

`ingester` and `embedder` say which step, which queue and what it touches; `attempt` turns what a step
raises into a verdict for the queue; `process` starts, watches and drains; `health` and `metrics` tell
the outside how it goes.
"""
