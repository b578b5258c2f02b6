"""Tables of constants that stay in the image: a row becomes an object only while somebody reads it.

A tuple of tuples of texts and numbers is frozen as it stands and takes no heap; objects, one for each row,
would take 60 bytes and more. Looking at a row allocates, so what a steady tick needs of one is taken out
beforehand.
"""


class Table:
    """`rows` of constants, each of which `row` can be made from; the first of them is its name. Raises
    IndexError for a number of no row.
    """

    def __init__(self, row, rows) -> None:
        self.row = row
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int):
        return self.row(*self.rows[number])

    def __iter__(self):
        for row in self.rows:
            yield self.row(*row)

    def find(self, name: str) -> int:
        """The number of the row of that name, -1 where there is none."""
        for number in range(len(self.rows)):
            if self.rows[number][0] == name:
                return number
        return -1
