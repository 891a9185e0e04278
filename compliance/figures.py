"""What all figures of this room share: colours, and axes without a frame on a figure that is closed already."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COMPLIANT, NONCOMPLIANT = "#4c78a8", "#e45756"


def blank(columns: int = 1, *, width: float = 5.2, height: float = 3.4) -> tuple["Figure", list["Axes"]]:
    """Give a figure with axes side by side.

    Args:
        columns: How many axes.
        width: Of each, in inches.
        height: Of the figure, in inches.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, columns, figsize=(width * columns, height), layout="constrained", squeeze=False)
    for part in axes[0]:
        part.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure, list(axes[0])
