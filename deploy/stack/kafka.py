"""The broker of the local stack: one Apache Kafka process, KRaft, broker and controller in one."""

import shutil
import struct
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path

from deploy.errors import ServiceFailed
from deploy.stack.java import java
from deploy.stack.layout import Layout
from deploy.stack.ports import LOOPBACK
from deploy.stack.process import Command
from deploy.stack.service import exchange

FORMAT_TIMEOUT_S = 60
HEAP = ("-Xms256m", "-Xmx512m")
MAX_MESSAGE_BYTES = 1_048_588
MAX_PARTITION_BYTES = 4 * 1024**3
# ApiVersions, version 0, correlation id 7, client id "headrace": the one request that every
# broker answers to everybody (https://kafka.apache.org/protocol#The_Messages_ApiVersions).
API_VERSIONS = struct.pack(">hhih8s", 18, 0, 7, 8, b"headrace")


class Kafka:
    """A single KRaft node on loopback with one replica of everything.

    Topics are never created by accident. Records are kept by size, not by age: their
    timestamps are event times, and replayed history would be deleted at once.
    """

    name = "kafka"
    port_names = ("kafka", "kafka-controller")
    start_deadline_s = 60.0
    stop_deadline_s = 20.0

    def __init__(self, layout: Layout) -> None:
        self._files = layout.service(self.name)
        self._jars = layout.kafka_lib

    @property
    def _properties(self) -> Path:
        return self._files.folder / "server.properties"

    @property
    def _logging(self) -> Path:
        return self._files.folder / "log4j2.yaml"

    @property
    def _formatted(self) -> Path:
        return self._files.folder / "formatted"

    def prepare(self, ports: Mapping[str, int]) -> None:
        """Writes the configuration and formats the data folder at the first start."""
        self._files.folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}={value}\n" for name, value in self._settings(ports).items()]
        self._properties.write_text("".join(lines))
        with as_file(files("deploy.stack") / "assets" / "log4j2.yaml") as logging:
            shutil.copyfile(logging, self._logging)
        if not self._formatted.exists():
            # Formatting that was interrupted leaves a folder that no broker starts from.
            shutil.rmtree(self._files.data, ignore_errors=True)
            self._format()
            self._formatted.touch()

    def _settings(self, ports: Mapping[str, int]) -> dict[str, object]:
        broker, controller = ports["kafka"], ports["kafka-controller"]
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
            "listeners": f"PLAINTEXT://{LOOPBACK}:{broker},CONTROLLER://{LOOPBACK}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{broker}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self._files.data,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "auto.create.topics.enable": "false",
            "num.partitions": 1,
            "log.retention.ms": -1,
            "log.retention.bytes": MAX_PARTITION_BYTES,
            "offsets.topic.num.partitions": 8,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 8,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
        }

    def _format(self) -> None:
        # One id in 64 would begin with a dash, and be taken for an option.
        cluster = "H" + urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties)]
        done = subprocess.run(
            [*self._java(), *tool, "--ignore-formatted"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=FORMAT_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            output = (done.stdout + done.stderr).splitlines()
            raise ServiceFailed(self.name, "could not format its data folder", output[-10:])

    def _java(self) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self._logging}"
        return [java(), *HEAP, logging, "-cp", f"{self._jars}/*"]

    def command(self, ports: Mapping[str, int]) -> Command:  # noqa: ARG002 - part of the port
        """Raises MissingTool when there is no Java of at least version 17."""
        return Command([*self._java(), "kafka.Kafka", str(self._properties)])

    def ready(self, ports: Mapping[str, int]) -> bool:
        """Answers a request of its own protocol with our correlation id."""
        request = struct.pack(">i", len(API_VERSIONS)) + API_VERSIONS
        return exchange(ports["kafka"], request, 8)[4:] == struct.pack(">i", 7)
