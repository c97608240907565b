# SPDX-License-Identifier: GPL-3.0-or-later
"""From values to medians, ratios, verdicts; as table, and as drawing."""
import html
import statistics

from .cases import rows

REFERENCE, OURS = "nginx", "remora"


def number(value):
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def ratios(values, reference):
    """Of figures of the same repeat, so that what changes from repeat to repeat drops out."""
    return [values[i] / reference[i] for i in sorted(values.keys() & reference.keys()) if reference[i]]


def verdict(bar, median, ratio):
    figure = ratio if bar.is_ratio else median
    if figure is None:
        return "not measured"
    if figure <= bar.aim:
        return "aim reached"
    return "must reached" if figure <= bar.must else "missed"


def summarize(values):
    """values: {key: {peer: {repeat: value}}} -> list of rows for JSON, in the order of the table."""
    found = []
    for key, row in rows().items():
        if key not in values:
            continue
        reference = values[key].get(REFERENCE, {}) if row.has_ratio else {}
        peers = {}
        for peer, series in values[key].items():
            of_nginx = ratios(series, reference)
            peers[peer] = {"median": statistics.median(series.values()), "values": list(series.values()),
                           "ratio": statistics.median(of_nginx) if of_nginx else None,
                           "ratio_min": min(of_nginx, default=None), "ratio_max": max(of_nginx, default=None)}
        entry = {"key": key, "label": row.label, "unit": row.unit, "peers": peers}
        if row.bar:
            ours = peers.get(OURS, {})
            entry["bar"] = {"must": row.bar.must, "aim": row.bar.aim, "is_ratio": row.bar.is_ratio,
                            "verdict": verdict(row.bar, ours.get("median"), ours.get("ratio"))}
        found.append(entry)
    return found


def cell(peer, figures):
    if figures is None:
        return "-"
    text = number(figures["median"])
    if peer == REFERENCE or figures["ratio"] is None:
        return text
    return f"{text} ({figures['ratio']:.2f})"


def table(summary, peers):
    """Markdown that reads well as text, too."""
    lines = [["", "unit", *peers, "range", "must / aim", "verdict"]]
    for row in summary:
        ours = row["peers"].get(OURS, {})
        spread = f"{ours['ratio_min']:.2f}-{ours['ratio_max']:.2f}" if ours.get("ratio") is not None else ""
        bar = row.get("bar")
        limit = f"{bar['must']:g} / {bar['aim']:g}" if bar else ""
        lines.append([row["label"], row["unit"], *(cell(p, row["peers"].get(p)) for p in peers), spread, limit,
                      bar["verdict"] if bar else ""])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    aligned = ["| " + " | ".join(text.ljust(width) for text, width in zip(line, widths)) + " |" for line in lines]
    aligned.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(aligned)


# ---- drawing --------------------------------------------------------------------------------------

COLORS = {"no TLS": "#bbbbbb", "nginx": "#2e7d32", "haproxy": "#1565c0", "stunnel": "#8d6e63",
          "hitch": "#6a1b9a", "ghostunnel": "#00838f", "remora": "#e65100"}
LEFT, SCALE, BAR, GAP, MAX_RATIO = 340, 260, 11, 16, 2.0


def bar_of(peer, figures, top):
    ratio = figures["ratio"]
    width = min(ratio, MAX_RATIO) * SCALE
    return (f'<rect x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR - 2}" fill="{COLORS[peer]}"/>'
            f'<text x="{LEFT + width + 4:.1f}" y="{top + BAR - 3}" font-size="9">'
            f'{html.escape(peer)} {number(figures["median"])} ({ratio:.2f})</text>')


def svg(summary, peers):
    """One group of bars per row that has a ratio: as long as the ratio to nginx, the must as a red tick."""
    parts, top = [], 40
    for row in summary:
        shown = [peer for peer in peers if row["peers"].get(peer, {}).get("ratio") is not None]
        if not shown:
            continue
        height = len(shown) * BAR
        label = html.escape(f"{row['label']}, {row['unit']}")
        parts.append(f'<text x="{LEFT - 8}" y="{top + height / 2 + 4}" text-anchor="end" font-size="11">{label}</text>')
        for i, peer in enumerate(shown):
            parts.append(bar_of(peer, row["peers"][peer], top + i * BAR))
        if row.get("bar", {}).get("is_ratio"):
            x = LEFT + row["bar"]["must"] * SCALE
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 3}" y2="{top + height + 1}" stroke="#c62828"/>')
        top += height + GAP
    x = LEFT + SCALE
    head = (f'<text x="{LEFT}" y="16" font-size="12">ratio to nginx in the same run; less is better, except for rates; '
            f'red: what Remora must reach</text>'
            f'<line x1="{x}" x2="{x}" y1="28" y2="{top}" stroke="#999" stroke-dasharray="3 3"/>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + MAX_RATIO * SCALE + 170:.0f}" height="{top}" '
            f'font-family="sans-serif"><rect width="100%" height="100%" fill="white"/>{head}{"".join(parts)}</svg>\n')
