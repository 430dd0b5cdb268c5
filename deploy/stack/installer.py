"""Running somebody else's installer: its words go to a file, its end is told in one."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def ran_well(
    argv: Sequence[str], log: Path, *, timeout_s: float, env: Mapping[str, str] | None = None
) -> bool:
    """Runs the program without input and returns whether it ended with status 0 in time.

    What it wrote replaces the content of `log`. A program that is too slow is killed.
    """
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                env=env,
                check=False,
            )
        except subprocess.TimeoutExpired:
            output.write(f"\nerror: not finished after {timeout_s:.0f} s\n".encode())
            return False
    return done.returncode == 0


def reason(log: Path) -> str:
    """What went wrong, in the installer's words: its first error, and the last cause under it."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = (line for line in lines if line.lower().lstrip("[").startswith("error"))
    first = next(errors, "").removeprefix("[ERROR] ").partition(" -> [Help")[0]
    # Maven tells the whole way to the cause in one line; the cause is its end.
    first = ": ".join(first.split(": ")[-2:])
    last = lines[-1] if lines and lines[-1].startswith("cause: ") else ""
    return "; ".join(filter(None, [first, last])) or "it gave no reason"
