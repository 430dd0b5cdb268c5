"""A broker that asks for a password: the right one works, a wrong one ends a worker in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from deploy.stack.kafka import Kafka
from deploy.stack.ports import LOOPBACK
from tests.conftest import Starter
from tests.system.conftest import Case
from tests.system.headrace import Headrace
from tests.system.test_refusals import ends_saying

pytestmark = pytest.mark.system

PASSWORD = "correct horse"
CLIENT = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "worker",
}


class GuardedKafka(Kafka):
    """The local broker with SASL/PLAIN before its client listener."""

    name = "guarded-kafka"
    port_names = ("guarded", "guarded-controller")

    def _settings(self, ports: Mapping[str, int]) -> dict[str, object]:
        here = {"kafka": ports["guarded"], "kafka-controller": ports["guarded-controller"]}
        broker = here["kafka"]
        return super()._settings(here) | {
            "listeners": f"SASL_PLAINTEXT://{LOOPBACK}:{broker},"
            f"CONTROLLER://{LOOPBACK}:{here['kafka-controller']}",
            "advertised.listeners": f"SASL_PLAINTEXT://{LOOPBACK}:{broker}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
            "security.inter.broker.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config": (
                "org.apache.kafka.common.security.plain.PlainLoginModule required "
                f'username="admin" password="admin" user_admin="admin" user_worker="{PASSWORD}";'
            ),
        }

    def ready(self, ports: Mapping[str, int]) -> bool:
        return super().ready({"kafka": ports["guarded"]})


@pytest.fixture(scope="module")
def guarded_bootstrap(start_service: Starter) -> str:
    return f"{LOOPBACK}:{start_service(GuardedKafka)['guarded']}"


def _environment(bootstrap: str, password: str) -> dict[str, str]:
    return {
        "HEADRACE_KAFKA__BOOTSTRAP": bootstrap,
        "HEADRACE_KAFKA__CLIENT": json.dumps(CLIENT),
        "HEADRACE_KAFKA__PASSWORD": password,
    }


def test_the_right_password_works_and_a_wrong_one_is_said(
    headrace: Headrace, trained: Case, guarded_bootstrap: str
) -> None:
    right = _environment(guarded_bootstrap, PASSWORD)
    done = headrace.run("prepare", trained.reference, env=right)
    assert done.returncode == 0, done.stderr
    worker = headrace.start_ready("worker", trained.reference, env=right)
    assert worker.stop() == 0

    wrong = _environment(guarded_bootstrap, "wrong horse")
    worker = headrace.start("worker", trained.reference, env=wrong)
    ends_saying(worker, guarded_bootstrap, "check user, password")
    assert "horse" not in worker.output()
