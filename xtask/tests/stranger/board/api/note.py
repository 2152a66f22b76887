"""Adds a note, as jobs do."""

import sys

from notes import notes

notes().add(" ".join(sys.argv[1:]))
