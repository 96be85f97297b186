"""JSON as its standard has it, without the NaN and Infinity that Python's own module writes."""

import json
from typing import Any


def standard(record: object) -> Any:
    """`record` in JSON's types; infinities and NaN, which JSON does not have, become texts.

    >>> standard({"loss": float("nan"), "index": (0, 1)})
    {'loss': 'NaN', 'index': [0, 1]}
    """
    return json.loads(json.dumps(record), parse_constant=str)
