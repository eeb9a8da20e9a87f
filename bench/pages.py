"""Where a script's table stands in a page: between two lines, which the page must hold. SPDX-License-Identifier: MIT"""
import sys
from pathlib import Path


def put_between(page, begin, end, text):
    """Replaces what stands between the lines begin and end."""
    old = Path(page).read_text(encoding="utf-8")
    if begin not in old or end not in old.split(begin, 1)[1]:
        sys.exit(f"{page} has no line '{begin}' followed by '{end}'")
    head, rest = old.split(begin, 1)
    Path(page).write_text(f"{head}{begin}\n{text.rstrip()}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")
