"""Stands for `npm ci`: it makes what git ignores, and says so."""

import os
import sys

needs = open("needs.txt").read().strip()
print(f"resolving {needs}")
if needs == "nothing-that-exists":
    sys.exit(f"no version of {needs}")
os.makedirs("made", exist_ok=True)
with open("made/log", "a") as log:
    log.write(needs + "\n")
if needs == "litter":
    open("litter.txt", "w").write("git sees it")
