"""The scoring server of the local stack: tritonserver from NVIDIA's pytriton wheel, on CPU."""

from collections.abc import Mapping

from deploy.stack.layout import Layout
from deploy.stack.ports import LOOPBACK
from deploy.stack.process import Command
from deploy.stack.service import http_ok
from deploy.stack.triton_env import TritonEnvironment


class Triton:
    """Triton with the Python backend and explicit model control, on loopback.

    Starts with no model loaded: whoever serves a model loads it, warms it, and unloads it.
    """

    name = "triton"
    port_names = ("triton-grpc", "triton-http", "triton-metrics")
    start_deadline_s = 30.0
    stop_deadline_s = 15.0

    def __init__(self, layout: Layout) -> None:
        self._models = layout.models
        self._environment = TritonEnvironment(layout.triton_env)

    def prepare(self, ports: Mapping[str, int]) -> None:  # noqa: ARG002 - part of the port
        """Makes the model repository."""
        self._models.mkdir(parents=True, exist_ok=True)

    def command(self, ports: Mapping[str, int]) -> Command:
        """Raises MissingTool when this Python has no shared library for the model processes."""
        environment = self._environment
        settings = {
            "model-repository": self._models,
            "backend-directory": environment.backends,
            "model-control-mode": "explicit",
            "grpc-address": LOOPBACK,
            "grpc-port": ports["triton-grpc"],
            "http-address": LOOPBACK,
            "http-port": ports["triton-http"],
            "metrics-address": LOOPBACK,
            "metrics-port": ports["triton-metrics"],
            "allow-gpu-metrics": "false",
            "exit-timeout-secs": 5,
        }
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        return Command([str(environment.server), *arguments], environment.variables())

    def ready(self, ports: Mapping[str, int]) -> bool:
        """Answers its own readiness question."""
        return http_ok(ports["triton-http"], "/v2/health/ready")
