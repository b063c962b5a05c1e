"""Make yearly.txt and monthly.txt, a year or month a line, from the tables that PyPI's statsmodels ships.

Both end with 2008: the source calls what is later preliminary.

pip download statsmodels==0.15.0 --no-deps && unzip statsmodels-0.15.0-*.whl -d statsmodels
python lit_seq/data/sunspots/prepare.py statsmodels/statsmodels/datasets/sunspots/src
"""

import sys
from pathlib import Path


def main(folder: Path) -> None:
    """Write both files beside this one from the tables in `folder`."""
    for name, dates in (("yearly", "{year}"), ("monthly", "{year}-{month:02}")):
        lines = []
        for line in (folder / f"sunspots_{name}.dat").read_text(encoding="ascii").splitlines():
            year, *numbers = line.split() or [""]
            # The rest are headings and remarks.
            if year.isdigit() and int(year) <= 2008:
                lines += [f"{dates.format(year=year, month=m)} {of}\n" for m, of in enumerate(numbers, 1)]
        (Path(__file__).parent / f"{name}.txt").write_text("".join(lines), encoding="ascii", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
