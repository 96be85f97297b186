"""How a matrix product is cut up: the sizes of tiles as values that the factories of kernels take.

C (M, N)                          a block                        a warp
|      |      |      |            | warp | warp |                 32 lanes, each with
|      |######|      |  rows      |------+------|  warp_rows      lane_rows x lane_columns
|      |      |      |            | warp | warp |                 elements in registers
       columns                     warp_columns
"""

from dataclasses import dataclass

WARP = 32


@dataclass(frozen=True, slots=True)
class Tile:
    """A block of C and its parts.

    Attributes:
        rows, columns: of the block.
        depth: steps of K that lie in shared memory at a time.
        warp_rows, warp_columns: of the part that a warp makes.
        lane_rows, lane_columns: of the part that a lane keeps in registers, multiples of 4; tensor cores have their
            own way to share a warp's part among lanes and don't use them.
        stages: slabs of `depth` steps in shared memory, of which one is worked with while the others arrive.
        padding: elements from the end of a row of a slab to the beginning of the next, a multiple of 4.

    >>> Tile(128, 128, 16, warp_rows=64, warp_columns=32).threads
    256
    """

    rows: int
    columns: int
    depth: int
    warp_rows: int
    warp_columns: int
    lane_rows: int = 8
    lane_columns: int = 8
    stages: int = 2
    padding: int = 4

    def __post_init__(self) -> None:
        fits = (
            self.rows % self.warp_rows == 0
            and self.columns % self.warp_columns == 0
            and min(self.lane_rows, self.lane_columns) > 0
            and all(
                size % 4 == 0 for size in (self.rows, self.columns, self.lane_rows, self.lane_columns, self.padding)
            )
            and self.stages >= 2
        )
        if not fits:
            raise ValueError(
                f"tile: got {self}, expected warps that fill the block, multiples of 4 and at least two stages"
            )
        if self.threads < self.rows:
            raise ValueError(f"tile: got {self.rows} rows for {self.threads} threads, expected a thread for each row")

    @property
    def warps_in_row(self) -> int:
        """Warps side by side."""
        return self.columns // self.warp_columns

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.rows // self.warp_rows * self.warps_in_row * WARP

    def grid(self, rows: int, columns: int) -> tuple[tuple[int, int], int]:
        """The blocks, along rows and columns, and the threads of a block that cover C.

        Rows, which samples are, may need millions of blocks: only the first number of a launch may be above 65,535.

        >>> Tile(128, 128, 16, warp_rows=64, warp_columns=32).grid(129, 10)
        ((2, 1), 256)
        """
        return (max(1, -(-rows // self.rows)), max(1, -(-columns // self.columns))), self.threads
