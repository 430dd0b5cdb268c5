"""The Fraud Detection Handbook's transactions and the features its authors published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from featurizers.definitions import EVENTS, LABELS, days
from featurizers.facts import Facts
from featurizers.identity import identities

DATA = Path(__file__).parents[4] / "shared" / "data"
RAW = DATA / "fraud_raw.parquet"
PUBLISHED = DATA / "fraud_published_features_to_2018-08-14.parquet"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Transactions:
    """In event-time order; every label is known seven days after its transaction."""

    ids: list[str]
    times_ms: NDArray[np.int64]
    keys: dict[str, list[str]]
    amounts: Floats
    frauds: Floats

    def __len__(self) -> int:
        return len(self.ids)

    def events(self, rows: slice = slice(None)) -> Facts:
        return self._facts(EVENTS, rows, {"amount": self.amounts[rows]})

    def labels(self, rows: slice = slice(None)) -> Facts:
        return self._facts(LABELS, rows, {"is_fraud": self.frauds[rows]})

    @property
    def known_at_ms(self) -> NDArray[np.int64]:
        return self.times_ms + days(7)

    def take(self, rows: NDArray[np.int64]) -> Transactions:
        return Transactions(
            [self.ids[i] for i in rows],
            self.times_ms[rows],
            {name: [keys[i] for i in rows] for name, keys in self.keys.items()},
            self.amounts[rows],
            self.frauds[rows],
        )

    def _facts(self, source: str, rows: slice, values: dict[str, Floats]) -> Facts:
        keys = {name: keys[rows] for name, keys in self.keys.items()}
        return Facts(source, identities(self.ids[rows]), self.times_ms[rows], keys, values)


def transactions() -> Transactions:
    """Every transaction; skips the test where the file is not at hand."""
    if not RAW.exists():
        pytest.skip(f"{RAW.name} is not there: it is not part of the repository")
    table = pq.read_table(RAW)
    return Transactions(
        table["TRANSACTION_ID"].cast("string").to_pylist(),
        table["TX_DATETIME"].to_numpy().astype("datetime64[ms]").astype(np.int64),
        {
            "customer": table["CUSTOMER_ID"].cast("string").to_pylist(),
            "terminal": table["TERMINAL_ID"].cast("string").to_pylist(),
        },
        table["TX_AMOUNT"].to_numpy().astype(np.float64),
        table["TX_FRAUD"].to_numpy().astype(np.float64),
    )


def published(names: tuple[str, ...]) -> tuple[list[str], Floats]:
    """Ids and float64[n, names] of what was published; `amount` comes from the transactions."""
    if not PUBLISHED.exists():
        pytest.skip(f"{PUBLISHED.name} is not there: it is not part of the repository")
    table = pq.read_table(PUBLISHED)
    columns = [pc.cast(table[_column(name)], "double").to_numpy() for name in names]
    return table["TRANSACTION_ID"].cast("string").to_pylist(), np.stack(columns, axis=1)


def _column(name: str) -> str:
    entity, _, rest = name.partition("_")
    if entity not in ("customer", "terminal"):
        return f"TX_{name.upper()}"
    what, _, window = rest.rpartition("_")
    return f"{entity.upper()}_ID_{what.upper()}_{window[:-1]}DAY_WINDOW"
