"""Card payments of customers at terminals near their homes, some of them fraud.

The generator of Le Borgne, Siblini, Lebichot and Bontempi, "Reproducible Machine Learning for
Credit Card Fraud Detection - Practical Handbook", chapter 3 (Simulated dataset), with the same
distributions, computed a table at a time:

- Customers and terminals lie at random in a square of 100 x 100; a customer pays at terminals
  within a distance of 5. Mean amounts are uniform in 5-100 (standard deviation: half the mean),
  payments a day are Poisson with means uniform in 0-4, times of day normal around noon with a
  standard deviation of 20,000 s (those outside of the day are dropped).
- Scenario 1: every payment above 220 is fraud.
- Scenario 2: two terminals a day are compromised; for 28 days all their payments are fraud.
- Scenario 3: three customers a day are compromised; for 14 days every third of their payments
  is five times as large, and fraud.

Unlike there, times are whole milliseconds and every third payment is drawn by chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from featurizers.definitions import days
from streams.history import History
from streams.pipelines.fraud import PIPELINE
from streams.simulator.config import Drift, DriftKind, SimulatorConfig

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

RADIUS = 5.0
FRAUD_ABOVE = 220.0
TERMINAL_DAYS, CUSTOMER_DAYS, TRIAL_DAYS = 28, 14, 3
TRIALS_A_NIGHT = 8
_DAY_MS = days(1)
_NOON_MS, _SPREAD_MS = 43_200_000, 20_000_000


@dataclass(slots=True)
class Payments:
    """n payments as columns; `scenario` is 0 where a payment is no fraud."""

    customer: Ints
    terminal: Ints
    time_ms: Ints
    amount: Floats
    scenario: Ints

    def only(self, mask: Mask) -> Payments:
        """The payments where `mask` holds."""
        return Payments(
            self.customer[mask],
            self.terminal[mask],
            self.time_ms[mask],
            self.amount[mask],
            self.scenario[mask],
        )

    def followed_by(self, other: Payments) -> Payments:
        """Both, one after the other."""
        return Payments(
            np.concatenate((self.customer, other.customer)),
            np.concatenate((self.terminal, other.terminal)),
            np.concatenate((self.time_ms, other.time_ms)),
            np.concatenate((self.amount, other.amount)),
            np.concatenate((self.scenario, other.scenario)),
        )


def simulate(config: SimulatorConfig) -> History:
    """The payments and their labels, of the fraud pipeline, in order of event time.

    Every kind of randomness has a stream of its own, so that a drift changes nothing before it.
    """
    world, stream, fraud, drift = (
        np.random.default_rng(seed) for seed in np.random.SeedSequence(config.seed).spawn(4)
    )
    payments = _genuine(config, world, stream)
    _commit_fraud(config, payments, fraud)
    for change in sorted(config.drifts, key=lambda d: (d.at_ms, d.kind)):
        payments = _drifted(config, payments, change, drift)
    order = np.argsort(payments.time_ms, kind="stable")
    return _history(
        config,
        Payments(
            payments.customer[order],
            payments.terminal[order],
            payments.time_ms[order],
            payments.amount[order],
            payments.scenario[order],
        ),
    )


def _genuine(
    config: SimulatorConfig, world: np.random.Generator, stream: np.random.Generator
) -> Payments:
    near, starts = _near_terminals(config, world)
    choices = np.diff(starts)
    mean_amount = world.uniform(5, 100, config.customers)
    a_day = np.where(choices > 0, world.uniform(0, 4, config.customers), 0.0)
    counts = stream.poisson(a_day, (config.days, config.customers))
    day, customer = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), config.customers)
    n = len(customer)
    of_day = np.rint(stream.normal(_NOON_MS, _SPREAD_MS, n)).astype(np.int64)
    mean = mean_amount[customer]
    amount = stream.normal(mean, mean / 2)
    amount = np.where(amount < 0, stream.uniform(0, mean * 2), amount)
    pick = (stream.random(n) * choices[customer]).astype(np.int64)
    payments = Payments(
        customer=customer,
        terminal=near[starts[customer] + pick],
        time_ms=config.start_ms + day * _DAY_MS + of_day,
        amount=np.round(amount, 2),
        scenario=np.zeros(n, dtype=np.int64),
    )
    return payments.only((of_day > 0) & (of_day < _DAY_MS))


def _near_terminals(config: SimulatorConfig, world: np.random.Generator) -> tuple[Ints, Ints]:
    """Terminals within reach of each customer, one customer's after another's, and their starts."""
    homes = world.uniform(0, 100, (config.customers, 2))
    places = world.uniform(0, 100, (config.terminals, 2))
    by_x = np.argsort(places[:, 0], kind="stable")
    x, y = places[by_x, 0], places[by_x, 1]
    first = np.searchsorted(x, homes[:, 0] - RADIUS)
    last = np.searchsorted(x, homes[:, 0] + RADIUS)
    near = []
    for (home_x, home_y), a, b in zip(homes, first, last, strict=True):
        inside = (x[a:b] - home_x) ** 2 + (y[a:b] - home_y) ** 2 < RADIUS**2
        near.append(by_x[a:b][inside])
    starts = np.concatenate(([0], np.cumsum([len(reach) for reach in near])))
    return np.concatenate(near).astype(np.int64), starts.astype(np.int64)


def _commit_fraud(config: SimulatorConfig, payments: Payments, fraud: np.random.Generator) -> None:
    """Mark the three scenarios, a later one over an earlier; the third raises amounts."""
    day = (payments.time_ms - config.start_ms) // _DAY_MS
    payments.scenario[payments.amount > FRAUD_ABOVE] = 1
    rate = config.compromised_terminals_a_day * config.terminals / 10_000
    terminals = _compromised(config, config.terminals, rate, TERMINAL_DAYS, fraud)
    payments.scenario[terminals[day, payments.terminal]] = 2
    rate = config.compromised_customers_a_day * config.customers / 5_000
    customers = _compromised(config, config.customers, rate, CUSTOMER_DAYS, fraud)
    third = customers[day, payments.customer] & (fraud.random(len(day)) < 1 / 3)
    payments.scenario[third] = 3
    payments.amount[third] = np.round(payments.amount[third] * 5, 2)


def _compromised(
    config: SimulatorConfig,
    population: int,
    a_day: float,
    lasting_days: int,
    rng: np.random.Generator,
    first_day: int = 0,
) -> Mask:
    """bool[days, population]: who is compromised when, `a_day` new ones each day (on average)."""
    state = np.zeros((config.days, population), dtype=np.bool_)
    for day in range(first_day, config.days):
        new = int(np.floor((day + 1) * a_day) - np.floor(day * a_day))
        chosen = rng.choice(population, size=min(new, population), replace=False)
        state[day : day + lasting_days, chosen] = True
    return state


def _drifted(
    config: SimulatorConfig, payments: Payments, change: Drift, rng: np.random.Generator
) -> Payments:
    after = payments.time_ms >= change.at_ms
    if change.kind is DriftKind.AMOUNTS:
        amount = np.where(after, np.round(payments.amount * change.strength, 2), payments.amount)
        payments.amount = amount
        return payments
    if change.kind is DriftKind.TERMINALS_SILENT:
        silent = rng.random(config.terminals) < change.strength
        return payments.only(~(after & silent[payments.terminal]))
    return payments.followed_by(_trials(config, change, rng))


def _trials(config: SimulatorConfig, change: Drift, rng: np.random.Generator) -> Payments:
    """Nightly bursts of small payments, in the hour after a moment between midnight and four."""
    rate = change.strength * config.customers / 5_000
    first_day = (change.at_ms - config.start_ms) // _DAY_MS
    state = _compromised(config, config.customers, rate, TRIAL_DAYS, rng, first_day)
    night, customer = np.nonzero(state)
    n = len(night) * TRIALS_A_NIGHT
    begun = config.start_ms + night * _DAY_MS + rng.integers(0, 4 * 3_600_000, len(night))
    time_ms = np.repeat(begun, TRIALS_A_NIGHT) + rng.integers(0, 3_600_000, n)
    trials = Payments(
        customer=np.repeat(customer, TRIALS_A_NIGHT),
        terminal=rng.integers(0, config.terminals, n),
        time_ms=time_ms,
        amount=np.round(rng.uniform(0.5, 4.0, n), 2),
        scenario=np.full(n, 4, dtype=np.int64),
    )
    return trials.only(time_ms >= change.at_ms)


def _history(config: SimulatorConfig, payments: Payments) -> History:
    n = len(payments.time_ms)
    columns = {
        "transaction_id": _names(f"s{config.seed}-", np.arange(n)),
        "event_time_ms": pa.array(payments.time_ms),
        "customer_id": _names("c", payments.customer),
        "terminal_id": _names("t", payments.terminal),
    }
    events = pa.table({**columns, "amount": pa.array(payments.amount)})
    labels = pa.table(
        {
            **columns,
            "is_fraud": pa.array(payments.scenario > 0),
            "known_at_ms": pa.array(payments.time_ms + config.label_delay_ms),
        }
    )
    return History.ordered(PIPELINE, events, labels)


def _names(prefix: str, numbers: Ints) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")
