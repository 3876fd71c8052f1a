"""The pages in Debian's Chromium: what people do there, and axe's rules of accessibility."""

import contextlib
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.browser
pytest.importorskip("playwright", reason="make test-page installs it")

from axe_playwright_python.sync_playwright import Axe  # noqa: E402 - after the look for it
from playwright.sync_api import expect, sync_playwright  # noqa: E402

CHROMIUM = shutil.which("chromium")
SIZES = (360, 1280, 2560)
GPU = "gpu.nvidia.com"
VIOLATIONS = """async () => {
    const found = await axe.run(document, { resultTypes: ["violations"] });
    return found.violations.map((each) => [each.id, each.nodes.map((node) => node.html)]);
}"""
PAGES = [
    "/",
    "/pools/nvidia-a100-sxm4-40gb",
    "/nodes/p4d-1",
    "/nodes/h100-mig-0",
    "/nodes/dgx-a100-1",
    f"/nodes/p4d-1/devices/{GPU}/p4d-1/gpu-0",
    "/pods",
    "/pods/default/train-0",
    "/pods/default/serve-0",
    "/decisions",
    "/decisions/1",
    "/capacity",
    f"/capacity?shape={GPU}%3D4",
    "/history",
    "/policy",
    "/shadow",
    "/search?q=p4d",
    "/nodes/nobody",
]


@pytest.fixture(scope="module")
def address():
    """The demo, with pods that stay where they are."""
    command = [sys.executable, "-m", "extender", "demo", "--frozen"]
    root = pathlib.Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        first = process.stdout.readline()
        for line in process.stdout:
            if line.startswith("Ctrl-C"):
                break
        try:
            yield re.search(r"http://\S+(?=/ )", first)[0]
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def chromium():
    if CHROMIUM is None:
        pytest.skip("no chromium: make test-page")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, address):
    """A page whose errors fail the test."""
    context = chromium.new_context(base_url=address, viewport={"width": 1280, "height": 900})
    found, problems = context.new_page(), []
    found.on("console", lambda each: problems.append(each.text) if each.type == "error" else None)
    found.on("pageerror", lambda each: problems.append(str(each)))
    yield found
    context.close()
    assert [each for each in problems if "404" not in each] == []


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_in_light_and_dark_at_any_size(page, path):
    page.goto(path)
    Axe().run(page)  # leaves its script in the page
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in SIZES:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate(VIOLATIONS) == [], f"{scheme}, {width} px"


@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_wider_than_a_phone(page, path):
    page.set_viewport_size({"width": 360, "height": 780})
    page.goto(path)

    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_a_stranger_finds_what_matters_in_two_clicks(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/")
    expect(page.locator("th", has_text="most fragmented")).to_be_visible()

    page.locator(".figure a").click()  # pods that wait
    page.locator("article a").last.click()
    expect(page.get_by_role("heading", name="Why it waits")).to_be_visible()

    page.goto("/")
    page.get_by_role("link", name=re.compile("^p4d-3:")).click()
    gpu = page.locator("main").get_by_text("GPU 3", exact=True).first
    expect(gpu).to_be_visible()
    expect(page.locator("main").get_by_text("held by").first).to_be_visible()

    page.goto("/")
    page.locator("footer a").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Policy in force")


def test_one_gets_from_the_overview_to_a_device_and_its_pod_and_back(page):
    page.goto("/")
    page.get_by_role("link", name="NVIDIA A100-SXM4-40GB").first.click()
    page.get_by_role("link", name="p4d-1").click()
    page.get_by_role("link", name=re.compile("GPU 0")).click()
    page.get_by_role("link", name="default/serve-0").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("default/serve-0")
    page.get_by_role("link", name="p4d-1").click()
    crumbs = page.get_by_role("navigation", name="Breadcrumb")
    crumbs.get_by_role("link", name="NVIDIA A100-SXM4-40GB").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("6 nodes")


def test_a_key_leads_to_the_search_and_the_search_to_the_node(page):
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("h100-mig")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="h100-mig-0").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("h100-mig-0")


def test_the_first_key_leads_past_the_menu(page):
    page.goto("/")
    page.keyboard.press("Tab")

    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()


def test_live_refresh_shows_what_is_new_and_pauses(page):
    page.clock.install()
    page.goto("/")
    page.evaluate("document.querySelector('h1').textContent = 'stale'")
    page.clock.run_for(5100)
    expect(page.get_by_role("heading", level=1)).to_have_text("Cluster")

    page.get_by_role("button", name="Live").click()
    expect(page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "false")
    page.evaluate("document.querySelector('h1').textContent = 'stale'")
    page.clock.run_for(20000)
    expect(page.get_by_role("heading", level=1)).to_have_text("stale")


def test_refresh_keeps_focus_open_details_and_the_order_of_a_table(page):
    page.clock.install()
    page.goto("/nodes/p4d-1")
    page.get_by_text("Conditions and labels").click()
    page.get_by_role("link", name="default/serve-0").first.focus()
    page.get_by_role("button", name="Pod", exact=True).click()
    page.get_by_role("button", name="Pod", exact=True).click()
    page.get_by_role("link", name="default/serve-1").first.focus()
    page.clock.run_for(11000)

    expect(page.locator("details")).to_have_attribute("open", "")
    expect(page.get_by_role("link", name="default/serve-1").first).to_be_focused()
    expect(page.locator("#tenants ~ div tbody tr").first).to_contain_text("serve-1")


def test_a_table_sorts_by_its_numbers(page):
    page.goto("/")
    page.get_by_role("button", name="Free").click()
    column = page.locator("table tbody tr td.strong").all_inner_texts()
    numbers = [float(each) for each in column]

    assert numbers == sorted(numbers, reverse=True)


def test_without_scripts_every_page_says_the_same(chromium, address):
    with contextlib.closing(chromium.new_context(base_url=address, java_script_enabled=False)) as c:
        plain = c.new_page()
        for path in PAGES:
            plain.goto(path)
            assert plain.get_by_role("heading", level=1).count() == 1
            assert plain.get_by_role("button", name="Live").count() == 0
