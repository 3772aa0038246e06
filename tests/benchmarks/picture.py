"""The picture for the README: two bar charts, readable on light and dark."""

from collections.abc import Mapping, Sequence
from string import Template
from xml.sax.saxutils import escape

from .comparison import Cost
from .report import number

_WIDTH, _LEFT, _BAR, _STEP = 760, 130, 20, 30
_LONGEST = _WIDTH - _LEFT - 140
_CHARTS = (
    ("What a log call costs its caller, in microseconds (less is better)", "call_us", "µs"),
    ("From the log call to the row, rows a second (more is better)", "rows_per_s", "rows/s"),
)

_PICTURE = Template("""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $width $height" width="$width" height="$height" role="img" \
aria-labelledby="title description">
<title id="title">$title</title>
<desc id="description">$description</desc>
<style>
text { font: 14px system-ui, sans-serif; fill: #1f2328; }
.head { font-weight: 600; }
.ours { fill: #0969da; }
.peer { fill: #8c959f; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.ours { fill: #4493f8; }
.peer { fill: #6e7681; }
}
</style>
$charts
</svg>
""")
_HEAD = Template('<text class="head" x="0" y="$y">$head</text>')
_ROW = Template(
    '<text x="$before" y="$y" text-anchor="end">$name</text>'
    '<rect class="$kind" x="$left" y="$top" width="$length" height="$bar" rx="2"/>'
    '<text x="$after" y="$y">$value</text>'
)


def draw(costs: Mapping[str, Cost]) -> str:
    """Return the SVG of *costs*, of which the first are ours."""
    height_of_chart = 30 + _STEP * len(costs)
    charts = "\n".join(
        line
        for n, (head, attribute, unit) in enumerate(_CHARTS)
        for line in _chart(n * (height_of_chart + 20), head, {k: getattr(v, attribute) for k, v in costs.items()}, unit)
    )
    return _PICTURE.substitute(
        width=_WIDTH,
        height=2 * height_of_chart + 20,
        title="What a log call costs, and how many rows a second come of it",
        description=escape(_description(costs)),
        charts=charts,
    )


def _description(costs: Mapping[str, Cost]) -> str:
    each = (f"{name}: {number(c.call_us)} µs a call, {number(c.rows_per_s)} rows/s" for name, c in costs.items())
    return "; ".join(each) + "."


def _chart(top: float, head: str, values: Mapping[str, float], unit: str) -> Sequence[str]:
    scale = _LONGEST / max(values.values())
    rows = [
        _ROW.substitute(
            before=_LEFT - 10,
            left=_LEFT,
            top=top + 30 + n * _STEP,
            y=top + 30 + n * _STEP + 15,
            bar=_BAR,
            kind="peer" if n else "ours",
            name=escape(name),
            length=f"{value * scale:.1f}",
            after=f"{_LEFT + value * scale + 8:.1f}",
            value=f"{number(value)} {unit}",
        )
        for n, (name, value) in enumerate(values.items())
    ]
    return [_HEAD.substitute(y=top + 16, head=escape(head)), *rows]
