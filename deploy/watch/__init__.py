"""The live view of what runs: read from the processes' own metrics, drawn in the terminal."""

from deploy.watch.live import WatchOptions, watch

__all__ = ["WatchOptions", "watch"]
