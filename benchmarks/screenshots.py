"""The README's pictures, taken from the real app in headless Chromium.

python -m benchmarks.screenshots        writes assets/screenshots/{desktop,dark,phone}.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.online import ROOT, App, open_browser


def shoot(page, url: str, out: Path, lit: int) -> None:
    """One run of the loaded sample; the product in row `lit` is pointed at, so that its sentence lights up."""
    page.goto(url)
    page.wait_for_selector("#run")
    page.click("#run")
    page.wait_for_selector("#ranking a[download]", timeout=120_000)
    page.locator(".rec").nth(lit).hover()
    page.wait_for_timeout(400)
    page.screenshot(path=out)
    print(f"{out} ({out.stat().st_size // 1000} kB)")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "assets/screenshots")
    return parser


def main(args: argparse.Namespace) -> None:
    from playwright.sync_api import sync_playwright

    args.out.mkdir(parents=True, exist_ok=True)
    app = App()
    try:
        with sync_playwright() as play:
            browser = open_browser(play)
            desktop = {"width": 1440, "height": 1180}
            shoot(browser.new_page(viewport=desktop), app.url, args.out / "desktop.png", 0)
            shoot(browser.new_page(viewport=desktop), f"{app.url}?__theme=dark", args.out / "dark.png", 2)
            shoot(browser.new_page(viewport={"width": 390, "height": 844}), app.url, args.out / "phone.png", 0)
            browser.close()
    finally:
        app.close()


if __name__ == "__main__":
    main(make_parser().parse_args())
