"""Reads the colours of a flame graph from its canvas."""

from __future__ import annotations

NOTHING = (0, 0, 0, 0)


def colour(page, row, part):
    """Return red, green, blue and alpha of a frame above its text, each up to 255.

    Args:
        page: The page with the flame graph.
        row: The row, from 0.
        part: How far right, from 0 to 1.
    """
    page.expected.append("getImageData")  # Chromium logs a hint about frequent reads
    values = page.locator(".flame-canvas").evaluate(
        """(canvas, [row, part]) => {
          const scale = canvas.width / canvas.clientWidth;
          const at = [part * canvas.clientWidth * scale, (row * 21 + 3) * scale].map(Math.floor);
          return [...canvas.getContext("2d").getImageData(...at, 1, 1).data];
        }""",
        [row, part],
    )
    return tuple(values)
