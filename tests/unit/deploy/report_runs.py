"""A pipeline's topics in memory, and runs made of them, for the tests of the report."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from deploy.report import Injection, Run, collect
from online_learning.alerts import Alert, Evidence, KeyShare
from online_learning.detectors.bins import Histogram
from streams.pipelines.fraud import PIPELINE
from streams.records import DeadLetter, Outcome, Prediction, Stages
from streams.transport.batch import KafkaRecord

DAY_MS = 86_400_000
BEGAN_MS = 1_700_000_000_000
FIRST_DAY_MS = 20_000 * DAY_MS
WIDTH = len(PIPELINE.features.names)


@dataclass
class Record:
    """What the transport gives out, without a broker."""

    its_topic: str
    its_partition: int
    its_offset: int
    its_value: bytes | None
    at_ms: int

    def topic(self) -> str:
        return self.its_topic

    def partition(self) -> int:
        return self.its_partition

    def offset(self) -> int:
        return self.its_offset

    def key(self) -> bytes | None:
        return None

    def value(self) -> bytes | None:
        return self.its_value

    def headers(self) -> list[tuple[str, bytes]] | None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, self.at_ms


@dataclass
class Topics:
    """The topics of the fraud pipeline, to be filled and then collected."""

    records: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))

    def put(
        self, kind: str, content: msgspec.Struct | bytes, at_ms: int, partition: int = 0
    ) -> int:
        """Append a record; returns its offset."""
        topic = PIPELINE.topic(kind)
        held = self.records[topic]
        offset = sum(record.its_partition == partition for record in held)
        value = content if isinstance(content, bytes) else msgspec.json.encode(content)
        held.append(Record(topic, partition, offset, value, at_ms))
        return offset

    def read(self, topic: str) -> Iterator[Sequence[KafkaRecord]]:
        """As `read_topic` does: in batches."""
        held = self.records[topic]
        for at in range(0, len(held), 7):
            yield held[at : at + 7]

    def run(self, injections: Sequence[Injection] = (), **options: int) -> Run:
        """What the topics hold."""
        return collect(PIPELINE, self.read, injections=injections, **options)


def prediction(number: int, offset: int, *, score: float = 0.1, **more: object) -> Prediction:
    fields: dict[str, object] = {
        "id": f"e{number}",
        "key": f"c{number % 5}",
        "event_time_ms": FIRST_DAY_MS + number * 1_000,
        "score": score,
        "decision": score >= 0.5,
        "threshold": 0.5,
        "features": [float(number % 7)] * WIDTH,
        "feature_fingerprint": "f",
        "model": "fraud",
        "model_version": 1,
        "variant": "champion",
        "source_topic": "fraud.events",
        "source_partition": 0,
        "source_offset": offset,
        "stages": Stages(1.0, 0.5, 0.5, 1.0, 0.5, 1.0),
    }
    return msgspec.convert({**fields, **more}, Prediction)


def outcome(number: int, *, label: bool, revision: int = 0, **more: object) -> Outcome:
    fields: dict[str, object] = {
        "id": f"e{number}",
        "key": f"c{number % 5}",
        "event_time_ms": FIRST_DAY_MS + number * 1_000,
        "known_at_ms": FIRST_DAY_MS + number * 1_000 + 7 * DAY_MS,
        "label": float(label),
        "score": 0.1,
        "shadow_scores": {"logistic": 0.4},
        "features": [0.0] * WIDTH,
        "model_version": 1,
        "revision": revision,
    }
    return msgspec.convert({**fields, **more}, Outcome)


def dead_letter(offset: int, reason: str = "not_json", topic: str = "fraud.events") -> DeadLetter:
    return DeadLetter("decode", reason, "no", None, topic, 0, offset, 0, 0, b"{")


def alert(
    subject: str, detected_ms: int, *, state: str = "raised", since_ms: int | None = None
) -> Alert:
    histogram = Histogram(edges=[1.0, 2.0], counts=[5, 3, 1], missing=0)
    evidence = Evidence(
        measure="psi",
        effect=0.4,
        threshold=0.2,
        baseline_mean=52.0,
        current_mean=83.0,
        reference=histogram,
        current=Histogram(edges=[1.0, 2.0], counts=[1, 3, 9], missing=0),
        top_keys=[KeyShare("c<1>", 0.25)],
        example_ids=["e1", "e2"],
    )
    since = detected_ms if since_ms is None else since_ms
    fields = {
        "alert_id": f"fraud:feature_drift:{subject}:{since}",
        "pipeline": "fraud",
        "kind": "score_drift" if subject == "score" else "feature_drift",
        "subject": subject,
        "state": state,
        "severity": "warning",
        "since_event_time_ms": since,
        "detected_event_time_ms": detected_ms,
        "raised_at_ms": BEGAN_MS,
        "changed_at_ms": BEGAN_MS,
        "evidence": evidence,
    }
    return msgspec.convert(fields, Alert, from_attributes=True)


def full_run(seed: int = 11, n: int = 4_000, days: int = 10) -> Run:
    """A run with everything in it: labels for the first half, drift on day 6, two alerts."""
    rng = np.random.default_rng(seed)
    topics = Topics()
    drift_ms = FIRST_DAY_MS + 6 * DAY_MS
    for number in range(n):
        time_ms = FIRST_DAY_MS + number * days * DAY_MS // n
        sent_ms = BEGAN_MS + number
        offset = topics.put("events", b"{}", sent_ms)
        fraud = rng.random() < 0.05
        score = float(rng.beta(4, 2) if fraud else rng.beta(1, 12))
        row = prediction(
            number,
            offset,
            score=score,
            event_time_ms=time_ms,
            features=[float(v) for v in rng.poisson(3 if time_ms < drift_ms else 6, WIDTH)],
        )
        topics.put("predictions", row, sent_ms + int(rng.integers(5, 60)))
        if number < n // 2:
            known = outcome(number, label=fraud, event_time_ms=time_ms)
            topics.put("outcomes", known, sent_ms + 5_000)
    topics.put("deadletters", dead_letter(0), BEGAN_MS)
    found_ms = drift_ms + DAY_MS
    topics.put("alerts", alert("amount", found_ms), BEGAN_MS)
    topics.put("alerts", alert("score", found_ms + 5), BEGAN_MS)
    return topics.run([Injection("amounts", drift_ms, ("amount",))])
