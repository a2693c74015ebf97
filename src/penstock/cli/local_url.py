"""Where Penstock answers if the user does not say."""

from __future__ import annotations

DEFAULT_URL = "http://127.0.0.1:8321"


def local_url() -> str:
    """Where the Penstock on this machine's data folder answers, else the default address."""
    from penstock.errors import PenstockError
    from penstock.local.data_folder import default_data_folder, find_data_folder
    from penstock.local.run_state import read_state  # brings Pydantic, which `--help` must not wait for

    try:
        state = read_state(find_data_folder(default_data_folder()))
    except (OSError, PenstockError):
        return DEFAULT_URL  # another user's folder: their Penstock may answer there all the same
    return state.url if state else DEFAULT_URL
