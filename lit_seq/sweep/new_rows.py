"""Rows that are added to Optuna's tables: a study, and trials that wait."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from sqlalchemy.orm import Session

NUMBER = "number"
"""The attribute that says which trial of the sweep an attempt is of."""

POINT = "fixed_params"
"""Where Optuna's `enqueue_trial` keeps the values of a trial that waits."""


def add_study(session: "Session", name: str, direction: str, attributes: Mapping[str, Any]) -> int:
    """Add a study, and return its id."""
    from optuna.storages._rdb import models
    from optuna.study import StudyDirection

    study = models.StudyModel(
        study_name=name,
        directions=[models.StudyDirectionModel(objective=0, direction=StudyDirection[direction.upper()])],
        user_attributes=[
            models.StudyUserAttributeModel(key=key, value_json=json.dumps(value))
            for key, value in attributes.items()
        ],
    )
    session.add(study)
    session.flush()
    return int(study.study_id)


def add_trials(
    session: "Session",
    study: int,
    points: Iterable[tuple[int, dict[str, Any] | None]],
    space: "Mapping[str, BaseDistribution]",
) -> None:
    """Add trials that wait.

    Args:
        session: the transaction.
        study: which holds the study, unless it is its first.
        points: number of each trial in the sweep, and its values; None for values yet to be suggested.
        space: Optuna's distributions of the values.
    """
    from optuna.distributions import distribution_to_json
    from optuna.storages._rdb import models
    from optuna.trial import TrialState
    from sqlalchemy import func, insert, select

    points = list(points)
    if not points:
        return
    first = session.scalar(select(func.count()).where(models.TrialModel.study_id == study)) or 0
    added = insert(models.TrialModel).returning(models.TrialModel.trial_id, sort_by_parameter_order=True)
    trials = session.scalars(
        added,
        [
            {"study_id": study, "number": first + place, "state": TrialState.WAITING}
            for place in range(len(points))
        ],
    ).all()
    session.execute(
        insert(models.TrialUserAttributeModel),
        [
            {"trial_id": trial, "key": NUMBER, "value_json": json.dumps(number)}
            for trial, (number, _) in zip(trials, points, strict=True)
        ],
    )
    known = [(trial, point) for trial, (_, point) in zip(trials, points, strict=True) if point is not None]
    if not known:
        return
    session.execute(
        insert(models.TrialSystemAttributeModel),
        [{"trial_id": trial, "key": POINT, "value_json": json.dumps(point)} for trial, point in known],
    )
    texts = {name: distribution_to_json(among) for name, among in space.items()}
    session.execute(
        insert(models.TrialParamModel),
        [
            {
                "trial_id": trial,
                "param_name": name,
                "param_value": among.to_internal_repr(point[name]),
                "distribution_json": texts[name],
            }
            for trial, point in known
            for name, among in space.items()
        ],
    )


def again(session: "Session", study: int, trials: Collection[int]) -> None:
    """Lay down ended trials anew, to wait with the same numbers and values."""
    from optuna.distributions import json_to_distribution
    from optuna.storages._rdb.models import TrialModel
    from sqlalchemy import select

    found = session.scalars(
        select(TrialModel).where(TrialModel.trial_id.in_(trials)).order_by(TrialModel.trial_id)
    )
    for trial in found.all():
        number = next(json.loads(one.value_json) for one in trial.user_attributes if one.key == NUMBER)
        space = {one.param_name: json_to_distribution(one.distribution_json) for one in trial.params}
        values = {
            one.param_name: space[one.param_name].to_external_repr(one.param_value) for one in trial.params
        }
        add_trials(session, study, [(number, values or None)], space)
