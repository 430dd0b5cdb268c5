"""The life of an alert, drawn as a timeline: one evaluation a character."""

from __future__ import annotations

import msgspec
import pytest

from online_learning.alerts import Alert, AlertBook, AlertPolicy, Evidence
from online_learning.detectors import Evaluation

THRESHOLD = 0.2
EFFECTS = {".": 0.01, "-": 0.15, "+": 0.22, "#": 0.3, "!": 0.9}
POLICY = AlertPolicy(raise_after=2, resolve_after=3, cooldown_ms=5)


def evidence(effect: float) -> Evidence:
    return Evidence("psi", effect, THRESHOLD, 1.0, None, None, None, [], ["e1"])


def play(timeline: str, policy: AlertPolicy = POLICY) -> tuple[str, list[Alert]]:
    """What is said at each evaluation: r(aised), u(pdated), d(one), or nothing."""
    book = AlertBook("fraud", clock=lambda: 1_700_000_000.0)
    said, alerts = "", []
    for at_ms, sign in enumerate(timeline):
        effect = EFFECTS[sign]
        evaluation = Evaluation(at_ms, at_ms, effect, THRESHOLD, 1.0, 2.0)
        alert = book.consider(
            "feature_drift",
            "amount",
            evaluation,
            at_ms + 100,
            policy,
            lambda effect=effect: evidence(effect),  # type: ignore[misc]  # bound early on purpose
        )
        if alert is not None:
            alerts.append(alert)
        said += {"raised": "r", "updated": "u", "resolved": "d"}[alert.state] if alert else " "
        assert bool(book.open) == (said.rstrip()[-1:] in ("r", "u"))
    return said, alerts


@pytest.mark.parametrize(
    ("timeline", "said"),
    [
        ("...+...+..", "          "),  # one evaluation is no alert
        ("..++++++++", "   r      "),  # raised once, however long it lasts
        ("..++....++", "   r  d   "),  # too soon after its end: the cooldown
        ("..++.......++", "   r  d     r"),  # the next one
        ("..++--------", "   r        "),  # not over as long as it is above half
        ("..++.+.+..+.", "   r        "),  # not over while it comes back
        ("..++!!!!!!!!", "   r    u   "),  # grown: said once, after the cooldown
        ("..++#+#+#+#+#", "   r    u    "),
    ],
)
def test_timeline(timeline: str, said: str) -> None:
    assert play(timeline)[0] == said


def test_the_records_of_one_alert_share_its_id_and_its_beginning() -> None:
    _, alerts = play("..++!!!!!!...")
    assert [a.state for a in alerts] == ["raised", "updated", "resolved"]
    assert len({(a.alert_id, a.since_event_time_ms, a.raised_at_ms) for a in alerts}) == 1
    assert alerts[0].alert_id == "fraud:feature_drift:amount:3"
    assert alerts[0].detected_event_time_ms == 103
    assert [a.severity for a in alerts] == ["warning", "page", "page"]


def test_an_alert_survives_the_wire() -> None:
    _, alerts = play("..++")
    assert msgspec.json.decode(msgspec.json.encode(alerts[0]), type=Alert) == alerts[0]


def test_a_forgotten_subject_resolves_its_alert() -> None:
    book = AlertBook("fraud", clock=lambda: 0.0)
    assert book.forget("score_drift", "score") is None
    for at_ms in range(2):
        found = Evaluation(at_ms, at_ms, 1.0, THRESHOLD, 0.0, 0.0)
        book.consider("score_drift", "score", found, at_ms, POLICY, lambda: evidence(1.0))
    (raised,) = book.open
    resolved = book.forget("score_drift", "score")
    assert resolved is not None
    assert (resolved.state, resolved.alert_id) == ("resolved", raised.alert_id)
    assert book.open == []
