"""What a challenger may learn: bounded a second, evenly shed, all of it counted."""

from __future__ import annotations

from online_learning.learners import LearningBudget


def test_what_is_over_budget_is_shed_evenly_and_counted() -> None:
    now_s = [100.0]
    budget = LearningBudget(per_s=100, clock=lambda: now_s[0])
    first = budget.admit(400)
    assert first.sum() == 100
    assert [int(first[i : i + 100].sum()) for i in range(0, 400, 100)] == [25] * 4
    assert budget.admit(10).sum() == 0
    now_s[0] += 0.5
    assert budget.admit(80).sum() == 50
    now_s[0] += 3600
    assert budget.admit(1000).sum() == 100
    now_s[0] -= 7200
    assert budget.admit(10).sum() == 0
    assert budget.admit(0).shape == (0,)
    assert (budget.learned, budget.shed) == (250, 1250)
