"""The rows of Optuna's tables that a sweep reads and writes itself.

Optuna's own calls take a transaction for each attribute of each trial, and read all trials that wait for each
that is begun; and a trial that is ended for a silent driver and laid down anew must be so at once.
"""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lit_seq.sweep.new_rows import NUMBER, POINT, add_trials

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.trial import TrialState
    from sqlalchemy.orm import Session


@contextmanager
def transaction(backend: "RDBStorage") -> Iterator["Session"]:
    """Enter a transaction, which is committed if the block ends without an exception."""
    from sqlalchemy.orm import Session

    with Session(backend.engine) as session, session.begin():
        yield session


def hold(session: "Session", study: int) -> None:
    """Wait until no other transaction holds the study, and hold it to the transaction's end."""
    from optuna.storages._rdb.models import StudyModel

    StudyModel.find_or_raise_by_id(study, session, for_update=True)


def waiting(session: "Session", study: int, most: int) -> list[tuple[int, int, dict[str, Any]]]:
    """Return id, number and values of the first trials that wait."""
    from optuna.storages._rdb.models import TrialModel, TrialSystemAttributeModel, TrialUserAttributeModel
    from optuna.trial import TrialState
    from sqlalchemy import select

    number, point = TrialUserAttributeModel, TrialSystemAttributeModel
    found = session.execute(
        select(TrialModel.trial_id, number.value_json, point.value_json)
        .join(number, (number.trial_id == TrialModel.trial_id) & (number.key == NUMBER))
        .join(point, (point.trial_id == TrialModel.trial_id) & (point.key == POINT))
        .where(TrialModel.study_id == study, TrialModel.state == TrialState.WAITING)
        .order_by(TrialModel.trial_id)
        .limit(most)
    )
    return [(trial, int(json.loads(n)), json.loads(p)) for trial, n, p in found]


def begin(session: "Session", trials: Collection[int]) -> set[int]:
    """Let trials run that still wait, with a lease, and return which."""
    from optuna.storages._rdb import models
    from optuna.trial import TrialState
    from sqlalchemy import select, update

    still = models.TrialModel.trial_id.in_(trials) & (models.TrialModel.state == TrialState.WAITING)
    mine = set(session.scalars(select(models.TrialModel.trial_id).where(still)))
    begun = {"state": TrialState.RUNNING, "_datetime_start_utc": datetime.now(UTC).replace(tzinfo=None)}
    session.execute(update(models.TrialModel).where(models.TrialModel.trial_id.in_(mine)).values(**begun))
    beats = models.TrialHeartbeatModel
    had = set(session.scalars(select(beats.trial_id).where(beats.trial_id.in_(mine))))
    renew(session, had)
    session.add_all(beats(trial_id=trial, heartbeat=_now(session)) for trial in mine - had)
    return mine


def begin_next(session: "Session", study: int, most: int) -> tuple[int, int] | None:
    """Let the first trial run that waits, or a new one.

    Args:
        session: the transaction, which holds the study.
        study: its id.
        most: how many trials the sweep has.

    Returns:
        Id and number; None if all have begun.
    """
    from optuna.storages._rdb.models import TrialModel, TrialUserAttributeModel
    from optuna.trial import TrialState
    from sqlalchemy import select

    first = (
        select(TrialModel.trial_id, TrialUserAttributeModel.value_json)
        .join(TrialUserAttributeModel, TrialUserAttributeModel.trial_id == TrialModel.trial_id)
        .where(TrialModel.study_id == study, TrialModel.state == TrialState.WAITING)
        .where(TrialUserAttributeModel.key == NUMBER)
        .order_by(TrialModel.trial_id)
        .limit(1)
    )
    found = session.execute(first).first()
    if found is None:
        if (number := next_number(session, study)) >= most:
            return None
        add_trials(session, study, [(number, None)], {})
        found = session.execute(first).one()
    begin(session, [found[0]])
    return found[0], int(json.loads(found[1]))


def next_number(session: "Session", study: int) -> int:
    """Return the number of the first trial of the sweep that is not laid down yet."""
    from optuna.storages._rdb.models import TrialModel, TrialUserAttributeModel
    from sqlalchemy import Integer, cast, func, select

    last = session.scalar(
        select(func.max(cast(TrialUserAttributeModel.value_json, Integer)))
        .join(TrialModel, TrialModel.trial_id == TrialUserAttributeModel.trial_id)
        .where(TrialModel.study_id == study, TrialUserAttributeModel.key == NUMBER)
    )
    return 0 if last is None else last + 1


def states(session: "Session", study: int) -> "dict[TrialState, int]":
    """Return how many attempts are in which state."""
    from optuna.storages._rdb.models import TrialModel
    from sqlalchemy import func, select

    counted = select(TrialModel.state, func.count()).where(TrialModel.study_id == study)
    return {row[0]: row[1] for row in session.execute(counted.group_by(TrialModel.state))}


def best(session: "Session", study: int, goal: str) -> float | None:
    """Return the best value of the finished trials."""
    from optuna.storages._rdb.models import TrialModel, TrialValueModel
    from sqlalchemy import func, select

    end = func.min if goal == "minimize" else func.max
    values = select(end(TrialValueModel.value)).join(
        TrialModel, TrialModel.trial_id == TrialValueModel.trial_id
    )
    return session.scalar(values.where(TrialModel.study_id == study))


def renew(session: "Session", trials: Collection[int]) -> set[int]:
    """Renew the leases of trials, and return those that still run."""
    from optuna.storages._rdb.models import TrialHeartbeatModel, TrialModel
    from optuna.trial import TrialState
    from sqlalchemy import select, update

    ours = TrialHeartbeatModel.trial_id.in_(trials)
    session.execute(update(TrialHeartbeatModel).where(ours).values(heartbeat=_now(session)))
    still = TrialModel.trial_id.in_(trials) & (TrialModel.state == TrialState.RUNNING)
    return set(session.scalars(select(TrialModel.trial_id).where(still)))


def silent(session: "Session", study: int, seconds: float) -> list[int]:
    """Return the trials that run with a lease that was not renewed for so long."""
    from optuna.storages._rdb.models import TrialHeartbeatModel, TrialModel
    from optuna.trial import TrialState
    from sqlalchemy import select

    now = session.execute(select(_now(session))).scalar_one().replace(tzinfo=None)
    running = (
        select(TrialModel.trial_id, TrialHeartbeatModel.heartbeat)
        .join(TrialHeartbeatModel, TrialHeartbeatModel.trial_id == TrialModel.trial_id)
        .where(TrialModel.study_id == study, TrialModel.state == TrialState.RUNNING)
        .order_by(TrialModel.trial_id)
    )
    return [trial for trial, last in session.execute(running) if (now - last).total_seconds() > seconds]


def release(session: "Session", study: int, trials: Collection[int] | None) -> int:
    """Let trials wait that run; None for all. Return how many."""
    from optuna.storages._rdb.models import TrialModel
    from optuna.trial import TrialState
    from sqlalchemy import select, update

    run = (TrialModel.study_id == study) & (TrialModel.state == TrialState.RUNNING)
    if trials is not None:
        run &= TrialModel.trial_id.in_(trials)
    released = session.scalars(select(TrialModel.trial_id).where(run)).all()
    waits = update(TrialModel).where(TrialModel.trial_id.in_(released)).values(state=TrialState.WAITING)
    session.execute(waits)
    return len(released)


def fail(session: "Session", trials: Collection[int]) -> None:
    """End trials as failed."""
    from optuna.storages._rdb.models import TrialModel
    from optuna.trial import TrialState
    from sqlalchemy import update

    ended = {"state": TrialState.FAIL, "_datetime_complete_utc": datetime.now(UTC).replace(tzinfo=None)}
    session.execute(update(TrialModel).where(TrialModel.trial_id.in_(trials)).values(**ended))


def failed(session: "Session", study: int) -> list[int]:
    """Return the trials that failed and were not tried again."""
    from optuna.storages._rdb.models import TrialModel, TrialUserAttributeModel
    from optuna.trial import TrialState
    from sqlalchemy import select

    attempts = session.execute(
        select(TrialUserAttributeModel.value_json, TrialModel.trial_id, TrialModel.state)
        .join(TrialModel, TrialModel.trial_id == TrialUserAttributeModel.trial_id)
        .where(TrialModel.study_id == study, TrialUserAttributeModel.key == NUMBER)
        .order_by(TrialModel.trial_id)
    )
    latest = {number: (trial, state) for number, trial, state in attempts}
    return [trial for trial, state in latest.values() if state == TrialState.FAIL]


def _now(session: "Session") -> Any:
    from sqlalchemy import func

    # PostgreSQL's now() is the transaction's start, which may have waited for another that holds the study.
    return func.clock_timestamp() if session.get_bind().dialect.name == "postgresql" else func.now()
