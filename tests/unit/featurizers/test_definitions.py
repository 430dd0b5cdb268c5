from __future__ import annotations

from dataclasses import replace

import pytest

from featurizers.definitions import (
    EVENTS,
    LABELS,
    Aggregation,
    Entity,
    FeatureSet,
    FieldFeature,
    HoursFeature,
    Value,
    WeekendFeature,
    Window,
    WindowFeature,
    days,
)
from featurizers.errors import DefinitionError
from featurizers.layout import layout_of
from streams.pipelines.fraud import FEATURES

CUSTOMER = Entity("customer", "customer_id")
AMOUNT, TIP = Value("amount", 100), Value("tip", 10)
MEAN = WindowFeature("mean_1d", CUSTOMER, Aggregation.MEAN, Window(days(1)), AMOUNT)
SET = FeatureSet((CUSTOMER,), (FieldFeature("amount", AMOUNT), MEAN))


def test_every_fault_is_named_at_once() -> None:
    wrong = (
        FieldFeature("Amount", Value("amount", 0)),
        HoursFeature("night", 22, 6),
        WindowFeature("w", Entity("other", "id"), Aggregation.SUM, Window(0), None, "clicks"),
        replace(MEAN, name="night"),
    )
    with pytest.raises(DefinitionError) as caught:
        FeatureSet((CUSTOMER, Entity("customer", "id")), wrong, allowed_lateness_ms=-1)
    for part in (
        "'Amount' is not a name",
        "the scale of 'amount' must be at least 1",
        "hours must satisfy",
        "entity 'other'",
        "source 'clicks'",
        "length_ms > 0",
        "sum needs a value",
        "two features are named 'night'",
        "two entities are named 'customer'",
        "allowed_lateness_ms is negative",
    ):
        assert part in str(caught.value)
    assert len(caught.value.faults) == 10


ACCOUNT, SHOP = Entity("account", "account_id"), Entity("shop", "shop_id")
POINTS = (HoursFeature("night", 0, 6), FieldFeature("amount", AMOUNT))
CHANGED_MEANING = {
    "order": (*POINTS[::-1], MEAN),
    "one fewer": (POINTS[0], MEAN),
    "kind": (HoursFeature("night", 0, 6), WeekendFeature("amount"), MEAN),
    "hours": (HoursFeature("night", 0, 5), POINTS[1], MEAN),
    "name": (*POINTS, replace(MEAN, name="mean")),
    "entity": (*POINTS, replace(MEAN, entity=ACCOUNT)),
    "aggregation": (*POINTS, replace(MEAN, aggregation=Aggregation.SUM)),
    "length": (*POINTS, replace(MEAN, window=Window(days(2)))),
    "delay": (*POINTS, replace(MEAN, window=Window(days(1), 1))),
    "field": (*POINTS, replace(MEAN, value=Value("tip", 100))),
    "scale": (*POINTS, replace(MEAN, value=Value("amount", 10))),
    "source": (*POINTS, replace(MEAN, source=LABELS)),
    "default": (*POINTS, replace(MEAN, default=1.0)),
    "no value": (*POINTS, replace(MEAN, aggregation=Aggregation.COUNT, value=None)),
    "value that is ignored": (*POINTS, replace(MEAN, aggregation=Aggregation.COUNT)),
}


def test_a_fingerprint_changes_with_meaning_and_order() -> None:
    entities = (CUSTOMER, ACCOUNT)
    prints = {FeatureSet(entities, f).fingerprint() for f in CHANGED_MEANING.values()}
    assert len(prints | {FeatureSet(entities, (*POINTS, MEAN)).fingerprint()}) == 1 + len(
        CHANGED_MEANING
    )
    other_field = replace(MEAN, entity=Entity("customer", "payer_id"))
    by_field = [FeatureSet((f.entity,), (f,)).fingerprint() for f in (MEAN, other_field)]
    assert by_field[0] != by_field[1]


def test_a_fingerprint_does_not_change_with_what_means_the_same() -> None:
    zero = replace(MEAN, default=0)
    same = (
        replace(SET, allowed_lateness_ms=days(9)),
        replace(SET, entities=(SHOP, CUSTOMER)),
        replace(SET, features=(FieldFeature("amount", Value("amount", 100)), zero)),
    )
    assert {features.fingerprint() for features in same} == {SET.fingerprint()}


def test_the_fraud_features_keep_their_fingerprint() -> None:
    # It stands in models and predictions that are kept: another one orphans them.
    assert FEATURES.fingerprint() == "c5863bc8d9b34c0f"


def test_a_layout_keeps_only_what_features_use() -> None:
    count = replace(MEAN, name="count", aggregation=Aggregation.COUNT, value=TIP)
    assert layout_of(SET, CUSTOMER).values == ((EVENTS, (AMOUNT,)),)
    assert layout_of(replace(SET, features=(count,)), CUSTOMER).width_bytes == 16
    labels = replace(MEAN, name="loss", source=LABELS, value=TIP)
    tips = replace(MEAN, name="tips", value=TIP)
    layout = layout_of(replace(SET, features=(MEAN, tips, labels)), CUSTOMER)
    assert layout.values == ((EVENTS, (AMOUNT, TIP)), (LABELS, (TIP,)))
    assert layout.width_bytes == 32
    assert layout.word_of(LABELS, TIP) == 2
    assert layout.word_of(EVENTS, TIP) == 3


def test_a_layouts_version_changes_with_what_its_words_mean_and_nothing_else() -> None:
    layout = layout_of(SET, CUSTOMER)
    longer = replace(MEAN, name="other", window=Window(days(30)))
    assert layout_of(replace(SET, features=(longer,)), CUSTOMER).version == layout.version
    assert layout_of(replace(SET, features=(longer,)), CUSTOMER).retention_ms == days(31)
    for value in (TIP, Value("amount", 1000)):
        other = replace(SET, features=(replace(MEAN, value=value),))
        assert layout_of(other, CUSTOMER).version != layout.version


def test_a_log_outlives_its_longest_window() -> None:
    layout = layout_of(replace(SET, allowed_lateness_ms=days(3)), CUSTOMER)
    assert layout.retention_ms == days(4)
    assert layout.ttl_ms == days(5)
