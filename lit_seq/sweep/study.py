"""The state of a sweep, in an Optuna study that several drivers may work on."""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from lit_seq.errors import UserError
from lit_seq.run_folder import State
from lit_seq.sweep import new_rows, rows
from lit_seq.sweep.search import Search
from lit_seq.sweep.storage import is_shared, open_storage, storage_errors, without_password

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_IDS = "abcdefghijklmnopqrstuvwxyz0123456789"


class Attempt(NamedTuple):
    """A trial that waits, or is to run now.

    Attributes:
        number: the trial's, which names its folder.
        values: nested as W&B's agent gets them.
        handle: the storage's name of this attempt.
    """

    number: int
    values: dict[str, Any]
    handle: int


class Terms(NamedTuple):
    """What all drivers of a sweep have in common besides its file.

    Attributes:
        seed: of method random and bayes.
        lease: seconds without a sign of life after which a driver's trials are another's.
        salt: makes the ids of the trials' W&B runs.
    """

    seed: int
    lease: float
    salt: str

    def wandb_id(self, number: int) -> str:
        """Return the id of a trial's W&B run: the same on every machine that takes it up."""
        digest = hashlib.sha256(f"{self.salt} {number}".encode()).digest()
        return "".join(_IDS[byte % len(_IDS)] for byte in digest[:8])


class Counts(NamedTuple):
    """How many trials there are.

    Attributes:
        waiting: have not begun, or wait for another attempt.
        running: have begun, here or elsewhere.
        best: the best value of those that are finished, as far as the storage knows.
    """

    waiting: int
    running: int
    best: float | None


class Study:
    """The trials of a sweep: which wait, which run, which are over.

    A trial that is tried again after its end is a new trial for Optuna, whose trials never come back from
    their end; the attribute "number" says which trial of the sweep it is. Finished trials are COMPLETE with
    their metric, failed ones FAIL. Diverged and stopped ones, and finished ones without a metric, are
    PRUNED, which the search by `method: bayes` takes for worse than all others.

    A driver holds its attempts by a lease that it renews (`renew`). The attempt of a driver that did not is
    ended as FAIL by whoever finds that out (`hand_on`), and the trial waits again as a new one: so whatever
    the first driver yet says about the attempt comes too late, and is not heard. Every change of several
    rows holds the row of the study, as Optuna does to number its trials.

    Args:
        storage: Optuna's storage URL.
        name: the sweep's name.
        search: the sweep's search space.

    Raises:
        UserError: the storage cannot be opened, or has no such study, or that of another sweep file.
    """

    def __init__(self, storage: str, name: str, search: Search) -> None:
        from optuna.storages import get_storage

        self._search, self.storage, self._name = search, storage, name
        self.shared = is_shared(storage)
        self._backend = open_storage(storage)
        # With what it has read of trials that are over.
        self._cached = get_storage(self._backend)
        with storage_errors(storage):
            try:
                self._id = self._backend.get_study_id_from_name(name)
            except KeyError:
                shown = without_password(storage)
                raise UserError(f"The storage {shown} holds no sweep {name!r}.") from None
            attributes = self._backend.get_study_user_attrs(self._id)
        if attributes.get("file") != _digest(search):
            raise UserError(
                f"The storage {without_password(storage)} holds another sweep {name!r} than "
                f"{search.file.path}; give another --name."
            )
        self.terms = Terms(**attributes["terms"])

    @staticmethod
    def create(storage: str, name: str, search: Search, terms: Terms) -> bool:
        """Lay down a new study with all trials that are known beforehand, whole or not at all.

        Returns:
            Whether it was made: False if there is such a study already, which others work on.

        Raises:
            UserError: the storage cannot be opened, or is of one driver and has such a study already.
        """
        from sqlalchemy.exc import IntegrityError

        metric = search.file.metric
        backend = open_storage(storage)
        attributes = {"file": _digest(search), "terms": terms._asdict()}
        with storage_errors(storage):
            try:
                with rows.transaction(backend) as session:
                    study = new_rows.add_study(
                        session, name, metric.goal if metric else "minimize", attributes
                    )
                    points = enumerate(search.points(terms.seed))
                    new_rows.add_trials(session, study, points, search.space())
            except IntegrityError:
                if is_shared(storage):
                    return False
                shown = without_password(storage)
                raise UserError(
                    f"The storage {shown} holds a sweep {name!r} already; give another --name."
                ) from None
        return True

    def waiting(self, most: int) -> list[Attempt]:
        """Return the first trials that wait; they wait on until they are claimed."""
        with self._transaction() as session:
            found = rows.waiting(session, self._id, most)
        return [Attempt(number, self._search.values(point), trial) for trial, number, point in found]

    def claim(self, attempts: Collection[Attempt]) -> list[Attempt]:
        """Take trials that wait, and return those that nobody else has taken in the meantime."""
        with self._transaction(alone=True) as session:
            mine = rows.begin(session, [attempt.handle for attempt in attempts])
        return [attempt for attempt in attempts if attempt.handle in mine]

    def suggest(self) -> Attempt | None:
        """Take the next trial of method bayes, with Optuna's suggestions; None if there is none."""
        import optuna
        from optuna.distributions import CategoricalDistribution

        with self._transaction(alone=True) as session:
            taken = rows.begin_next(session, self._id, self._search.size)
        if taken is None:
            return None
        handle, number = taken
        with storage_errors(self.storage):
            # Drawn anew for each trial: neither a resumption nor another machine repeats suggestions.
            sampler = optuna.samplers.TPESampler(seed=self.terms.seed + number, constant_liar=True)
            study = optuna.load_study(study_name=self._name, storage=self._cached, sampler=sampler)
            study.get_trials(deepcopy=False)
            trial = optuna.trial.Trial(study, handle)
            for name, among in self._search.space().items():
                if isinstance(among, CategoricalDistribution):
                    trial.suggest_categorical(name, among.choices)
                else:
                    trial.suggest_float(name, among.low, among.high)
        return Attempt(number, self._search.values(trial.params), handle)

    def known_values(self) -> Iterator[dict[str, Any]]:
        """Yield the values of all trials that were known beforehand."""
        return (self._search.values(point) for point in self._search.points(self.terms.seed))

    def counts(self) -> Counts:
        """Return how many trials wait and run."""
        from optuna.trial import TrialState

        metric = self._search.file.metric
        with self._transaction() as session:
            states = rows.states(session, self._id)
            laid_down = rows.next_number(session, self._id)
            best = rows.best(session, self._id, metric.goal) if metric and metric.target is not None else None
        waiting = states.get(TrialState.WAITING, 0) + self._search.size - laid_down
        return Counts(waiting, states.get(TrialState.RUNNING, 0), best)

    def end(self, handle: int, state: State, value: float | None) -> bool:
        """Note the end of an attempt.

        Args:
            handle: the attempt's.
            state: how it ended.
            value: the best of the sweep's metric, where it was logged.

        Returns:
            Whether the attempt was this driver's to the end; it was handed on else.
        """
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        ended = TrialState.FAIL if state == "failed" else TrialState.PRUNED
        values: Sequence[float] | None = None
        if state == "finished" and value is not None:
            ended, values = TrialState.COMPLETE, [value]
        with storage_errors(self.storage):
            try:
                self._backend.set_trial_state_values(handle, ended, values)
            except UpdateFinishedTrialError:
                # Unless this was said before, and the answer was lost.
                return self._backend.get_trial(handle).state == ended
        return True

    def renew(self, handles: Collection[int]) -> set[int]:
        """Renew this driver's leases, and return which of its attempts have been handed on."""
        with self._transaction(alone=True) as session:
            return set(handles) - rows.renew(session, handles)

    def release(self, handles: Collection[int]) -> None:
        """Let attempts wait again that this driver has stopped."""
        with self._transaction(alone=True) as session:
            rows.release(session, self._id, handles)

    def hand_on(self) -> int:
        """Let trials wait again whose driver is gone, and return how many.

        A storage that is not shared is held by the caller alone: whatever runs there has lost its driver.
        """
        with self._transaction(alone=True) as session:
            if not self.shared:
                return rows.release(session, self._id, None)
            silent = rows.silent(session, self._id, self.terms.lease)
            rows.fail(session, silent)
            new_rows.again(session, self._id, silent)
        return len(silent)

    def retry(self) -> None:
        """Let trials wait again whose latest attempt failed."""
        with self._transaction(alone=True) as session:
            new_rows.again(session, self._id, rows.failed(session, self._id))

    @contextmanager
    def _transaction(self, alone: bool = False) -> Iterator["Session"]:
        with storage_errors(self.storage), rows.transaction(self._backend) as session:
            if alone:
                rows.hold(session, self._id)
            yield session


def _digest(search: Search) -> str:
    """Return what is equal for sweep files with the same content."""
    content = json.dumps(search.file.content, sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()
