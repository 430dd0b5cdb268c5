"""Card-payment fraud: the 15 features of the Fraud Detection Handbook, chapter 3.

A payment is scored when it is made; whether it was fraud is known seven days later. A terminal's
history is seen through that delay, so that a feature never counts what could not yet be known.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from featurizers.definitions import (
    LABELS,
    Aggregation,
    Entity,
    Feature,
    FeatureSet,
    FieldFeature,
    HoursFeature,
    Value,
    WeekendFeature,
    Window,
    WindowFeature,
    days,
)
from inference.spec import ModelSpec
from streams.pipeline import EventSchema, LabelSchema, Pipeline

Id = Annotated[str, Meta(min_length=1, max_length=64)]
TimeMs = Annotated[int, Meta(ge=0, lt=4_102_444_800_000, description="ms since the epoch, UTC")]

LABEL_DELAY_MS = days(7)


class Payment(Struct, frozen=True):
    """A card payment, keyed by its customer."""

    transaction_id: Id
    event_time_ms: TimeMs
    customer_id: Id
    terminal_id: Id
    amount: Annotated[float, Meta(ge=0, le=1e9, description="currency units, two decimals")]
    schema_version: int = 1


class FraudLabel(Struct, frozen=True):
    """Whether a payment was fraud, as known at `known_at_ms`; keyed by the payment's customer."""

    transaction_id: Id
    event_time_ms: TimeMs
    customer_id: Id
    terminal_id: Id
    is_fraud: bool
    known_at_ms: TimeMs
    schema_version: int = 1


CUSTOMER = Entity("customer", key="customer_id")
TERMINAL = Entity("terminal", key="terminal_id")
AMOUNT = Value("amount", scale=100)
FRAUD = Value("is_fraud")


def _customer(n: int) -> tuple[Feature, ...]:
    window = Window(days(n))
    return (
        WindowFeature(f"customer_nb_tx_{n}d", CUSTOMER, Aggregation.COUNT, window),
        WindowFeature(f"customer_avg_amount_{n}d", CUSTOMER, Aggregation.MEAN, window, AMOUNT),
    )


def _terminal(n: int) -> tuple[Feature, ...]:
    window = Window(days(n), delay_ms=LABEL_DELAY_MS)
    return (
        WindowFeature(f"terminal_nb_tx_{n}d", TERMINAL, Aggregation.COUNT, window),
        WindowFeature(f"terminal_risk_{n}d", TERMINAL, Aggregation.MEAN, window, FRAUD, LABELS),
    )


FEATURES = FeatureSet(
    entities=(CUSTOMER, TERMINAL),
    features=(
        FieldFeature("amount", AMOUNT),
        WeekendFeature("during_weekend"),
        HoursFeature("during_night", first=0, last=6),
        *_customer(1),
        *_customer(7),
        *_customer(30),
        *_terminal(1),
        *_terminal(7),
        *_terminal(30),
    ),
)

PIPELINE = Pipeline(
    name="fraud",
    events=EventSchema(
        record=Payment,
        id="transaction_id",
        key="customer_id",
        time="event_time_ms",
        columns={
            "transaction_id": "TRANSACTION_ID",
            "event_time_ms": "TX_DATETIME",
            "customer_id": "CUSTOMER_ID",
            "terminal_id": "TERMINAL_ID",
            "amount": "TX_AMOUNT",
        },
    ),
    labels=LabelSchema(
        record=FraudLabel,
        id="transaction_id",
        key="customer_id",
        time="event_time_ms",
        value="is_fraud",
        known_at="known_at_ms",
        delay_ms=LABEL_DELAY_MS,
        columns={
            "transaction_id": "TRANSACTION_ID",
            "event_time_ms": "TX_DATETIME",
            "customer_id": "CUSTOMER_ID",
            "terminal_id": "TERMINAL_ID",
            "is_fraud": "TX_FRAUD",
        },
    ),
    features=FEATURES,
    # The defaults of xgboost 1.x, with which the Handbook's figures were published.
    model=ModelSpec(
        name="fraud",
        parameters={
            "objective": "binary:logistic",
            "max_depth": 6,
            "eta": 0.3,
            "base_score": 0.5,
            "tree_method": "exact",
        },
        rounds=100,
    ),
)
