"""What is prescribed: the therapy in force, those before it, the drug library that it is held against."""

from .dose.changes import Changes
from .dose.formulary_data import LIBRARY
from .record.therapies import Therapies


class Regimen:
    """Of one pump; nothing is prescribed yet."""

    def __init__(self):
        self.prescription = None
        self.therapies = Therapies()
        self.library = LIBRARY
        self.changes = Changes()
