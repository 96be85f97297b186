"""How each data set is trained where the user does not say: one row a data set."""

from dataclasses import dataclass
from typing import Literal

from mlp_scratch.optimizers import OPTIMIZERS, Adam, Optimizer


@dataclass(frozen=True)
class Recipe:
    """The defaults of `train` that depend on the data."""

    hidden: tuple[int, ...] = (256, 128)
    loss: str = "cross_entropy"
    optimizer: Optimizer = OPTIMIZERS["adam"]
    weight_init: str | None = None
    batch_size: int = 32
    epochs: int = 20
    note: str = ""


RECIPES: dict[str, Recipe] = {
    "digits": Recipe(optimizer=Adam(5e-3), note="few steps an epoch, so larger ones"),
    "mnist": Recipe(),
    "fashion-mnist": Recipe(),
    "classification": Recipe(note="CSV and NPZ files of class labels"),
    "regression": Recipe(loss="mse", note="CSV and NPZ files of real targets"),
    "xy": Recipe(
        hidden=(24,),
        loss="mae",
        optimizer=Adam(1e-3, eps=1e-7, eps_mode="keras"),
        weight_init="glorot_uniform",
        epochs=100,
        note="Adam as in Keras, Glorot uniform weights",
    ),
}
"""By name of the data set, or for a file by its task."""


def recipe_for(source: str, task: Literal["classification", "regression"]) -> Recipe:
    """The recipe of what `--data` names.

    >>> recipe_for("xy", "regression").epochs, recipe_for("xy.csv", "regression").epochs
    (100, 20)
    """
    return RECIPES.get(source) or RECIPES[task]


def recipe_table() -> str:
    """The recipes as text, a line each.

    >>> print(recipe_table().splitlines()[1])
    digits          256,128  cross_entropy  adam       0.005     32      20  few steps an epoch, so larger ones
    """
    lines = ["data            hidden   loss           optimizer     lr  batch  epochs"]
    for name, row in RECIPES.items():
        hidden = ",".join(map(str, row.hidden))
        line = f"{name:<15} {hidden:<8} {row.loss:<14} {row.optimizer.kind:<9} {row.optimizer.lr:>6g}"
        line += f" {row.batch_size:>6} {row.epochs:>7}"
        lines.append(f"{line}  {row.note}".rstrip())
    return "\n".join(lines)
