"""/metrics, /live and /ready over HTTP, from a thread of their own.

The worker's own thread may stand in a blocking call; these must answer even then.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from deploy.errors import DeployError

Check = Callable[[], Mapping[str, str]]
"""Returns what is wrong, by part (`{"store": "no answer for 3 s"}`); empty when all is well."""

REQUEST_TIMEOUT_S = 5.0
MAX_REQUESTS_AT_ONCE = 8


class MetricsServer:
    """Serves until `close`; also a context manager.

    Attributes
    ----------
    url:
        Where the metrics are, with the real port: `http://127.0.0.1:9100/metrics`.
    """

    def __init__(self, server: ThreadingHTTPServer) -> None:
        host, port = str(server.server_address[0]), server.server_address[1]
        self.url = f"http://{host}:{port}/metrics"
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port. May be called twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(REQUEST_TIMEOUT_S)

    def __enter__(self) -> MetricsServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(MAX_REQUESTS_AT_ONCE)
        super().__init__(address, handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuse what goes beyond the bound: a scraper asks again, threads would pile up."""
        del request, client_address
        return self._free.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


def nothing_wrong() -> Mapping[str, str]:
    """The check of a process that has nothing to check."""
    return {}


def serve_metrics(
    registry: CollectorRegistry,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    live: Check = nothing_wrong,
    ready: Check = nothing_wrong,
) -> MetricsServer:
    """Serve `registry` and the two checks; port 0 takes a free one.

    /live and /ready answer 200 and `{}` when all is well, else 503 and what is wrong as JSON; a
    check that raises counts as wrong. Raises DeployError when the address cannot be bound.
    """
    handler = _handler(registry, {"/live": live, "/ready": ready})
    try:
        return MetricsServer(_Server((host, port), handler))
    except OSError as error:
        raise DeployError(
            f"Cannot serve metrics on {host}:{port} ({error.strerror}): choose another address "
            "by HEADRACE_METRICS__HOST and HEADRACE_METRICS__PORT (0 takes a free port)."
        ) from error


def _handler(
    registry: CollectorRegistry, checks: Mapping[str, Check]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_TIMEOUT_S

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(HTTPStatus.OK, content_type, encode(registry))
            elif path in checks:
                faults = _run(checks[path])
                status = HTTPStatus.SERVICE_UNAVAILABLE if faults else HTTPStatus.OK
                self._answer(status, "application/json", json.dumps(faults).encode())
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/metrics, /live, /ready\n")

        def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its given name
            """Say nothing: a line for every scrape would drown the worker's own."""

    return Handler


def _run(check: Check) -> dict[str, str]:
    try:
        return dict(check())
    except Exception as error:  # noqa: BLE001 - a broken check is an unhealthy process
        return {"check": f"{type(error).__name__}: {error}"}
