"""Where runs lie at W&B, written as in the addresses of its pages."""

import re
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import unquote

from lit_seq.errors import UserError


@dataclass(frozen=True)
class Address:
    """A project at W&B, or a part of it: wandb:ENTITY/PROJECT[/runs/ID | /sweeps/ID | /groups/NAME].

    Attributes:
        entity: user or team.
        project: the project.
        kind: "runs" for a single run, "sweeps", "groups"; None for the whole project.
        name: id of the run or sweep, or name of the group; None for the whole project.
    """

    entity: str
    project: str
    kind: str | None = None
    name: str | None = None

    PREFIX: ClassVar = "wandb:"
    KINDS: ClassVar = ("runs", "sweeps", "groups")

    @classmethod
    def of(cls, text: str) -> "Address":
        """Read an address.

        Raises:
            UserError: `text` is none.
        """
        parts = [unquote(part) for part in text.removeprefix(cls.PREFIX).split("/", 3)]
        if all(parts) and (len(parts) == 2 or (len(parts) == 4 and parts[2] in cls.KINDS)):
            return cls(*parts)
        raise UserError(
            f"{text!r} is no address at W&B; write wandb:ENTITY/PROJECT, and behind it /runs/ID, /sweeps/ID "
            "or /groups/NAME for a part of the project, as in the addresses of W&B's pages."
        )

    def __str__(self) -> str:
        parts = [self.entity, self.project, self.kind, self.name]
        return self.PREFIX + "/".join(part for part in parts if part)

    @property
    def path(self) -> str:
        """The path by which `wandb.Api` finds the project, the run or the sweep."""
        own = [self.name] if self.kind in ("runs", "sweeps") else []
        return "/".join([self.entity, self.project, *[name for name in own if name]])


def slug(text: str) -> str:
    """Leave of a name what files and artifacts may be called."""
    return re.sub(r"[^\w.-]+", "-", text)


def is_address(text: str) -> bool:
    """Whether `text` speaks of W&B rather than of a folder."""
    return text.startswith(Address.PREFIX)
