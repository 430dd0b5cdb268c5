"""The gRPC channel to Triton, and what its failures mean.

Keep-alive here does not ping an idle server: Triton answers pings more often than every five
minutes without a call with GOAWAY. It sets how long sent data may stay unacknowledged before the
connection is given up, so that a peer which vanished does not hold the channel for minutes.
"""

from __future__ import annotations

from typing import Any

import grpc
import grpc.experimental

from inference.errors import ModelNotFound, ScorerError, ScorerRefused, ScorerUnavailable

MESSAGE_LIMIT_BYTES = 64 * 1024 * 1024

CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # A server that comes back is found within about a second; the default backs off to minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A proxy of the environment is for the world outside, not for the server next door.
    ("grpc.enable_http_proxy", 0),
    # Streams are then read by the thread that waits for them (see scorer.py).
    (grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1),
)

_REFUSALS = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
_NOT_LOADED = ("is not at ready state", "unknown model")


def open_channel(url: str) -> Any:
    """A channel to `url` (host:port), which connects at its first call."""
    return grpc.insecure_channel(url, options=list(CHANNEL_OPTIONS))


def scorer_error(url: str, doing: str, code: grpc.StatusCode, details: str) -> ScorerError:
    """The error of ours for a failed call. `doing` says what was tried, as a noun phrase."""
    said = f"{doing} on Triton at {url}: {code.name.lower()}: {details.strip()}"
    if code is grpc.StatusCode.NOT_FOUND or any(text in details for text in _NOT_LOADED):
        return ModelNotFound(f"{said}: load the model, or see why it was unloaded")
    if code in _REFUSALS:
        return ScorerRefused(f"{said}: see Triton's log")
    return ScorerUnavailable(f"{said}: see whether Triton runs and is not overloaded")
