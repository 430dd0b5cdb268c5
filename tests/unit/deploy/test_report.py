import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import plotly.graph_objects
import pytest
from rich.console import Console
from sklearn.metrics import roc_auc_score

from deploy.report import Injection, Run, print_summary, summarise, write_report
from deploy.report.columns import end_to_end_ms
from deploy.report.figures import Panel, feature_panel, flow_panels, trust_panels
from deploy.report.page import page
from deploy.report.quality import labelled
from tests.unit.deploy.report_runs import (
    BEGAN_MS,
    DAY_MS,
    FIRST_DAY_MS,
    WIDTH,
    Topics,
    alert,
    dead_letter,
    full_run,
    outcome,
    prediction,
)

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "summary.md"


@pytest.fixture(scope="module")
def run() -> Run:
    return full_run()


def panels(run: Run) -> list[Panel]:
    return [*flow_panels(run), *trust_panels(run), feature_panel(run)]


def test_counts_say_what_became_of_every_event() -> None:
    topics = Topics()
    for number in range(6):
        topics.put("events", b"{}", BEGAN_MS + number)
    topics.put("labels", b"{}", BEGAN_MS)
    for number in (0, 1, 2):
        topics.put("predictions", prediction(number, number), BEGAN_MS + 20)
    # Processed again after a crash, with flags that a repeat carries.
    again = prediction(2, 2, late=True, degraded=["local_model"], flags=["repeated"])
    topics.put("predictions", again, BEGAN_MS + 30)
    topics.put("deadletters", dead_letter(3), BEGAN_MS)
    topics.put("deadletters", dead_letter(0, "missing_field", "fraud.labels"), BEGAN_MS)
    found = summarise(topics.run())
    assert (found["events"], found["predictions"], found["dead_letters"]) == (6, 3, 2)
    assert (found["missing"], found["duplicates"]) == (2, 1)
    assert (found["late"], found["degraded"], found["repeated"]) == (1, 1, 1)
    assert found["dead_letters_by_reason"] == [
        {"topic": "fraud.events", "stage": "decode", "reason": "not_json", "count": 1},
        {"topic": "fraud.labels", "stage": "decode", "reason": "missing_field", "count": 1},
    ]


def test_latency_is_from_the_events_own_timestamp_by_partition_and_offset() -> None:
    topics = Topics()
    for number, partition in enumerate((1, 0, 1, 0)):
        topics.put("events", b"{}", BEGAN_MS + 100 * number, partition)
    for partition, offset, sent in ((0, 1, 300), (1, 0, 0), (1, 9, 0)):
        row = prediction(offset, offset, source_partition=partition)
        topics.put("predictions", row, BEGAN_MS + sent + 12, partition)
    run = topics.run()
    latency = end_to_end_ms(run)
    assert latency[:2].tolist() == [12.0, 12.0]
    assert np.isnan(latency[2]), "the event of the last one is not in the topic"
    found = summarise(run)
    assert found["latency_p50_ms"] == 12.0
    assert found["stages"]["broker"]["p99_ms"] == 1.0
    # 12 ms less the 4.5 ms that the stages name.
    assert found["stages"]["publish"]["p50_ms"] == 7.5


def test_the_newest_revision_of_an_outcome_holds_and_scores_come_from_predictions() -> None:
    topics = Topics()
    rng = np.random.default_rng(2)
    truth = (rng.random(40) < 0.4).tolist()
    scores = rng.random(40).tolist()
    for number in range(40):
        topics.put("predictions", prediction(number, number, score=scores[number]), BEGAN_MS)
        topics.put("outcomes", outcome(number, label=not truth[number]), BEGAN_MS)
    for number in range(40):
        topics.put("outcomes", outcome(number, label=truth[number], revision=1), BEGAN_MS)
        topics.put("outcomes", outcome(number, label=not truth[number]), BEGAN_MS)
    run = topics.run()
    rows = labelled(run, "champion")
    assert rows.label.tolist() == truth
    found = summarise(run)["quality"]
    assert found["champion"]["auc"] == pytest.approx(roc_auc_score(truth, scores))
    assert found["logistic"]["auc"] == 0.5
    assert found["champion"]["n"] == found["logistic"]["n"] == 40


def test_what_was_not_measured_is_null_and_said_so() -> None:
    run = Topics().run([Injection("amounts", 5)])
    found = summarise(run)
    assert found["latency_p99_ms"] is None
    assert found["events_per_s"] is None
    assert found["quality"]["champion"]["auc"] is None
    assert found["labels"]["coverage"] is None
    assert found["drift"][0]["found_at_ms"] is None
    assert all(not panel.traces and "Not measured" in panel.note for panel in panels(run))
    text = page(run, found, written_at_ms=0)
    assert "was not found" in text
    assert "NaN" not in json.dumps(found)


def test_an_alert_of_before_the_injection_has_not_found_it() -> None:
    topics = Topics()
    begins = FIRST_DAY_MS + 3 * DAY_MS
    early = begins - DAY_MS
    topics.put("alerts", alert("amount", early), BEGAN_MS)
    topics.put("alerts", alert("amount", begins + 1, state="updated", since_ms=early), BEGAN_MS)
    injection = Injection("amounts", begins, ("amount",))
    assert summarise(topics.run([injection]))["drift"][0]["found_at_ms"] is None
    topics.put("alerts", alert("score", begins + 2), BEGAN_MS)
    assert summarise(topics.run([injection]))["drift"][0]["found_at_ms"] is None
    topics.put("alerts", alert("amount", begins + DAY_MS), BEGAN_MS)
    summary = summarise(topics.run([injection]))
    drift = summary["drift"][0]
    assert (drift["found_at_ms"], drift["subject"]) == (begins + DAY_MS, "amount")
    assert drift["delay_event_time_h"] == 24.0
    assert summary["alerts"] == {"raised": 3, "active": 3, "before_injection": 1}


def test_only_what_was_sent_since_is_read_and_a_cut_topic_is_named() -> None:
    topics = Topics()
    for number in range(9):
        topics.put("events", b"{}", BEGAN_MS + number)
    assert len(topics.run(from_ms=BEGAN_MS + 6).events.position) == 3
    run = topics.run(limit=4)
    assert len(run.events.position) == 4
    found = summarise(run)
    assert found["not_read_to_the_end"] == ["fraud.events"]
    assert "holds more records than were read" in page(run, found, written_at_ms=0)


def test_features_that_are_null_are_gaps() -> None:
    topics = Topics()
    topics.put("predictions", prediction(0, 0, features=[1.0] * WIDTH), BEGAN_MS)
    record = topics.records["fraud.predictions"][0]
    assert record.its_value is not None
    record.its_value = record.its_value.replace(b'"features":[1.0', b'"features":[null')
    features = topics.run().predictions.features
    assert np.isnan(features[0, 0])
    assert features[0, 1] == 1.0


def test_every_figure_is_one_that_plotly_knows(run: Run) -> None:
    drawn = panels(run)
    assert all(panel.traces for panel in drawn)
    assert len({panel.key for panel in drawn}) == len(drawn)
    for panel in drawn:
        plotly.graph_objects.Figure({"data": panel.traces, "layout": panel.layout})


def test_figures_stay_small_however_long_the_run(run: Run) -> None:
    for panel in panels(run):
        assert len(json.dumps(panel.traces)) < 60_000, panel.key


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.addresses += [v for k in ("src", "href") if (v := names.get(k))]
        self.ids += [v for v in (names.get("id"),) if v]


def test_the_page_needs_nothing_else_and_trusts_no_name(run: Run) -> None:
    text = page(run, summarise(run), written_at_ms=BEGAN_MS)
    parsed = Page(text)
    assert parsed.addresses == []
    assert {panel.key for panel in panels(run)} <= set(parsed.ids)
    assert "@import" not in text
    assert "c<1>" not in text
    assert "c&lt;1&gt;" in text
    held = re.search(r'<script id="figures"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert held
    assert len(json.loads(held[1])) == len(panels(run))


def test_latest_is_always_the_newest_whole_report(run: Run, tmp_path: Path) -> None:
    first = write_report(run, tmp_path, clock=lambda: 1_000.0, extra={"published": {"auc": 0.862}})
    second = write_report(run, tmp_path, clock=lambda: 1_000.0)
    assert first.summary_file.parent != second.summary_file.parent
    latest = tmp_path / "latest"
    assert latest.resolve() == second.page_file.parent.resolve()
    assert json.loads(first.summary_file.read_text())["published"] == {"auc": 0.862}
    assert json.loads((latest / "summary.json").read_text()) == second.summary
    with pytest.raises(ValueError, match="latency_p99_ms"):
        write_report(run, tmp_path, extra={"latency_p99_ms": 1.0})


def test_the_table_for_people_says_the_same(run: Run) -> None:
    summary = summarise(run)
    console = Console(width=100, record=True, file=None)
    with console.capture() as capture:
        print_summary(summary, console)
    text = capture.get()
    assert f"{summary['predictions']:,}" in text
    assert "found at" in text
    assert "logistic" in text


def keys_of(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for part in value.values() for key in keys_of(part)}
    if isinstance(value, list):
        return {key for part in value for key in keys_of(part)}
    return set()


def test_every_key_is_documented(run: Run) -> None:
    text = DOCS.read_text()
    roles = {"champion", "logistic"}
    missing = [key for key in keys_of(summarise(run)) - roles if f"`{key}`" not in text]
    assert not missing
