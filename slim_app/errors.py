"""The one exception whose message is meant for the person at the page, the API or the shell."""


class SlimError(Exception):
    """Says in one or two sentences what happened and what to do about it.

    Raised anywhere in `slim_app` and `training`, turned into words on a page, a JSON error or an exit
    message at the edges only (`slim_app.ui`, `app.py`, each script's `main`).
    """
