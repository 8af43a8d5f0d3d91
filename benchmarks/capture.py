"""The README's moving picture: one run, a product pointed at, a sentence struck out; from the real app.

python -m benchmarks.capture        writes assets/screenshots/run.gif

Every frame stays as long as it did on the screen, except that waiting longer than `LONGEST` is cut.
"""

from __future__ import annotations

import argparse
import io
import time
from itertools import pairwise
from pathlib import Path

from benchmarks.online import ROOT, App, open_browser

SIZE = {"width": 1320, "height": 860}
SHOWN = (990, 645)
"""Pixels of the picture."""
LONGEST = 2.0
"""Seconds that a frame may stay."""
COLOURS = 255


class Film:
    """Frames with the time at which each was taken; a frame like the one before only lengthens that."""

    def __init__(self, page) -> None:
        self.page, self.frames, self.times = page, [], []

    def shoot(self) -> None:
        from PIL import Image

        image = Image.open(io.BytesIO(self.page.screenshot(type="png"))).convert("RGB").resize(SHOWN, Image.LANCZOS)
        if not self.frames or image.tobytes() != self.frames[-1].tobytes():
            self.frames.append(image)
            self.times.append(time.perf_counter())

    def watch(self, seconds: float) -> None:
        """Shoot for so long."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.shoot()
            self.page.wait_for_timeout(60)

    def save(self, out: Path) -> None:
        times = [*self.times, time.perf_counter()]
        lengths = [min(LONGEST, after - before) for before, after in pairwise(times)]
        frames = [frame.quantize(COLOURS, dither=0) for frame in self.frames]
        frames[0].save(
            out, save_all=True, append_images=frames[1:], duration=[round(1000 * s) for s in lengths], loop=0,
            optimize=True,
        )  # fmt: skip
        print(f"{out}: {len(frames)} frames, {sum(lengths):.0f} s, {out.stat().st_size // 1000} kB")


def story(page, url: str, film: Film) -> None:
    """What the film shows."""
    page.goto(url)
    page.wait_for_selector("#run")
    page.wait_for_timeout(800)
    film.watch(1.5)
    page.click("#run")
    while not page.locator("#ranking a[download]").count():
        film.shoot()
        page.wait_for_timeout(60)
    film.watch(1.0)
    page.locator(".rec").nth(1).hover()
    film.watch(1.8)
    # a sentence that several products stand by: that of the fourth
    key = page.locator(".rec").nth(3).get_attribute("data-seg")
    page.mouse.wheel(0, 190)
    film.watch(0.8)
    segment = page.locator(f"#reasoning [data-seg='{key}']")
    segment.hover()
    film.watch(0.8)
    segment.locator(".strike").click()
    film.watch(3.0)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "assets/screenshots/run.gif")
    return parser


def main(args: argparse.Namespace) -> None:
    from playwright.sync_api import sync_playwright

    args.out.parent.mkdir(parents=True, exist_ok=True)
    app = App()
    try:
        with sync_playwright() as play:
            browser = open_browser(play)
            page = browser.new_page(viewport=SIZE)
            film = Film(page)
            story(page, app.url, film)
            film.save(args.out)
            browser.close()
    finally:
        app.close()


if __name__ == "__main__":
    main(make_parser().parse_args())
