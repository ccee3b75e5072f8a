"""Shares as text."""


def percent(share: float) -> str:
    """A share, 0 to 1, in percents with one decimal: "99.7%".

    The only rounding of shares there is (`report.js` has it too). What is less than 1 is never "100%", and what is more
    than 0 never "0%": they are ">99.9%" and "<0.1%".
    """
    text = f"{share:.1%}"
    if text == "100.0%":
        return "100%" if share >= 1 else ">99.9%"
    if text in {"0.0%", "-0.0%"}:
        return "<0.1%" if share > 0 else "0%"
    return text
