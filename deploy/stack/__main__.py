"""`python -m deploy.stack`: fetches what the local servers need, and starts nothing."""

import sys

from deploy.errors import DeployError
from deploy.stack.fetch import ensure_fetched
from deploy.stack.layout import Layout


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Returns the exit status: 0 when everything is there, 1 after saying what is missing."""
    try:
        ensure_fetched(Layout.discover(), _say)
    except DeployError as error:
        _say(f"headrace: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
