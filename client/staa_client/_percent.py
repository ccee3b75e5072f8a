"""Shares as text."""

import math


def percent(share: float) -> str:
    """A share, 0 to 1, in percents with one decimal: "99.7%".

    The only rounding of shares there is (`report.js` has it too). What is less than 1 is never "100%", and what is more
    than 0 never "0%": they are ">99.9%" and "<0.1%".
    """
    tenths = math.floor(share * 1000 + 0.5)  # not by format(): it rounds 6.25 down, and JavaScript rounds it up
    if tenths >= 1000:
        return "100%" if share >= 1 else ">99.9%"
    if tenths <= 0:
        return "<0.1%" if share > 0 else "0%"
    return f"{tenths / 10:.1f}%"
