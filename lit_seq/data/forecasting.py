"""Series from files or the hub, to forecast."""

from typing import Any

from torch import Tensor

from lit_seq.data.module import Split
from lit_seq.data.series import read_series
from lit_seq.data.series_windows import SeriesWindows
from lit_seq.data.source_data import SourceData


class Forecasting(SourceData, SeriesWindows):
    """Series from files or the Hugging Face hub, whose next values are to be forecast.

    Reads columns of numbers from anything that `datasets.load_dataset` loads: a step a row, of one series or
    of those that `series_column` tells apart; or a series a row, where the columns hold lists. All columns
    are given and all are forecast. The steps of a series are taken to be evenly spaced and in order.

    Args:
        path: a file format ("csv", "json", "parquet", …), a folder, or a name on the hub.
        columns: those that hold the values.
        series_column: tells the series of a step; null: all steps are of one.
        data: the arguments of `SourceData` and of `SeriesWindows`.
    """

    def __init__(
        self,
        path: str,
        columns: list[str],
        series_column: str | None = None,
        **data: Any,
    ) -> None:
        super().__init__(path, **data)
        self.columns, self.series_column = columns, series_column

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        return tuple(self.columns)

    def read(self) -> dict[Split, list[Tensor]]:
        """Return the series of each split.

        Raises:
            UserError: the data cannot be loaded, has no such column, or lacks a number in it.
        """
        return {
            split: [one.values for one in read_series(self.source, rows, self.columns, self.series_column)]
            for split, rows in self.source.load().items()
        }
