"""The state of a sweep, in an Optuna study."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from lit_seq.errors import UserError
from lit_seq.run_folder import State
from lit_seq.sweep.search import Search

_NUMBER, _SEED = "number", "seed"


class Attempt(NamedTuple):
    """A trial that is to run now.

    Attributes:
        number: the trial's, which names its folder.
        values: nested as W&B's agent gets them.
        handle: Optuna's number of this attempt.
    """

    number: int
    values: dict[str, Any]
    handle: int


class Study:
    """The trials of a sweep: which wait, which run, which are over.

    A trial that is tried again is a new trial for Optuna, whose trials never come back from their end;
    the attribute "number" says which trial of the sweep it is. Finished trials are COMPLETE with their
    metric, failed ones FAIL. Diverged and stopped ones, and finished ones without a metric, are PRUNED,
    which the search by `method: bayes` takes for worse than all others.

    Args:
        storage: Optuna's storage URL.
        name: the sweep's name.
        search: the sweep's search space.

    Raises:
        UserError: the storage cannot be opened, or has no such study.
    """

    def __init__(self, storage: str, name: str, search: Search) -> None:
        optuna = _optuna()
        self._search, self.storage = search, storage
        with storage_errors(storage):
            try:
                self._study = optuna.load_study(study_name=name, storage=storage)
            except KeyError:
                raise UserError(
                    f"The storage {_without_password(storage)} holds no sweep {name!r}."
                ) from None
            self._space = search.space()
            known = self._study.get_trials(deepcopy=False)
            seed = int(self._study.user_attrs[_SEED])
        # Suggestions after a resumption must not repeat those before it.
        self._study.sampler = optuna.samplers.TPESampler(seed=seed + len(known), constant_liar=True)
        # The sweep's lock is held: nobody else takes trials in the meantime.
        self._waiting = sum(trial.state == optuna.trial.TrialState.WAITING for trial in known)
        self._count = len({trial.user_attrs[_NUMBER] for trial in known if _NUMBER in trial.user_attrs})

    @staticmethod
    def create(storage: str, name: str, search: Search, seed: int) -> None:
        """Lay down a new study with all trials that are known beforehand.

        Raises:
            UserError: the storage cannot be opened, or has such a study already.
        """
        optuna = _optuna()
        metric = search.file.metric
        with storage_errors(storage):
            try:
                study = optuna.create_study(
                    study_name=name, storage=storage, direction=metric.goal if metric else "minimize"
                )
            except optuna.exceptions.DuplicatedStudyError:
                shown = _without_password(storage)
                raise UserError(
                    f"The storage {shown} holds a sweep {name!r} already; give another --name."
                ) from None
            try:
                study.set_user_attr(_SEED, seed)
                for number, point in enumerate(search.points(seed)):
                    study.enqueue_trial(point, user_attrs={_NUMBER: number})
            except BaseException:
                optuna.delete_study(study_name=name, storage=storage)
                raise

    def next(self) -> Attempt | None:
        """Take the next trial, which waits or which Optuna suggests (bayes); None if there is none."""
        if not self.waiting():
            return None
        trial = self._study.ask(self._space)
        self._waiting = max(0, self._waiting - 1)
        if _NUMBER not in trial.user_attrs:
            trial.set_user_attr(_NUMBER, self._count)
            self._count += 1
        return Attempt(trial.user_attrs[_NUMBER], self._search.values(trial.params), trial.number)

    def waiting(self) -> int:
        """Return how many trials have not begun."""
        suggested = self._search.size - self._count if self._search.file.method == "bayes" else 0
        return self._waiting + suggested

    def end(self, handle: int, state: State, value: float | None) -> None:
        """Note the end of an attempt.

        Args:
            handle: the attempt's.
            state: how it ended.
            value: the best of the sweep's metric, where it was logged.
        """
        ends = _optuna().trial.TrialState
        if state == "finished" and value is not None:
            self._study.tell(handle, value)
        else:
            self._study.tell(handle, state=ends.FAIL if state == "failed" else ends.PRUNED)

    def unfinished(self) -> Iterator[tuple[int, int | None]]:
        """Yield the trials that failed or were running when the sweep was left.

        Returns:
            Number, and the handle of an attempt that has no end yet.
        """
        ends = _optuna().trial.TrialState
        for trial in self._latest():
            if trial.state == ends.RUNNING:
                yield trial.user_attrs[_NUMBER], trial.number
            elif trial.state == ends.FAIL:
                yield trial.user_attrs[_NUMBER], None

    def again(self, number: int) -> None:
        """Let a trial wait for another attempt."""
        trial = next(trial for trial in self._latest() if trial.user_attrs[_NUMBER] == number)
        point = trial.system_attrs.get("fixed_params", trial.params)
        self._study.enqueue_trial(point, user_attrs={_NUMBER: number})
        self._waiting += 1

    def _latest(self) -> list[Any]:
        """Return each trial's latest attempt."""
        attempts = self._study.get_trials(deepcopy=False)
        return list({t.user_attrs[_NUMBER]: t for t in attempts if _NUMBER in t.user_attrs}.values())


@contextmanager
def storage_errors(storage: str) -> Iterator[None]:
    """Say in one sentence that the storage cannot be used.

    Raises:
        UserError: an error of Optuna's storage or of the database below it.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError, ImportError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        reason = str(getattr(cause, "orig", None) or cause or error).partition("\n")[0]
        raise UserError(f"The storage {_without_password(storage)} cannot be used: {reason}.") from error


def sqlite_url(folder: Path) -> str:
    """Return the URL of a sweep's own storage."""
    return f"sqlite:///{folder / 'study.db'}"


def _without_password(storage: str) -> str:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(storage).render_as_string(hide_password=True)
    except ArgumentError:
        return storage


def _optuna() -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
