"""How much of each file's text Penstock keeps, and how much it makes up: `make fidelity` writes `docs/fidelity.md`.

The counting is here once; `tests/integration/test_fidelity.py` holds the same figures to their limits.
"""
