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
    Window,
    WindowFeature,
    days,
)
from featurizers.errors import DefinitionError
from featurizers.layout import layout_of

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


def test_a_fingerprint_stands_for_meaning_and_order() -> None:
    same = FeatureSet((CUSTOMER,), (FieldFeature("amount", Value("amount", 100)), MEAN), days(9))
    assert SET.fingerprint() == same.fingerprint()
    changed = (
        (SET.features[1], SET.features[0]),
        (SET.features[0], replace(MEAN, default=1.0)),
        (SET.features[0], replace(MEAN, window=Window(days(1), 1))),
        (SET.features[0], replace(MEAN, value=TIP)),
        (SET.features[0], replace(MEAN, name="mean")),
    )
    prints = {replace(SET, features=features).fingerprint() for features in changed}
    assert len(prints | {SET.fingerprint()}) == len(changed) + 1


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
