"""The page stands alone: it asks for nothing, and a browser draws it without complaint."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tensorbundle.cli.bench.page import write_page

pytest.importorskip("plotly", reason="plotly is not installed (the extra bench)")

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def page(result, tmp_path):
    result.places[0].path = "/disk"
    result.places[0].skipped["direct"] = "it <cannot>"
    path = tmp_path / "report.html"
    write_page(result, str(path))
    return path


def test_the_page_names_no_other_file(page):
    # What is plotly's own code is a script; what is ours are elements.
    text = re.sub(r"<script.*?</script>", "", page.read_text(), flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)=(?!["']data:)""", text)
    assert "@import" not in text
    assert not re.search(r"<script[^>]*\bsrc=", page.read_text())


def test_what_is_measured_is_text_not_markup(page):
    text = page.read_text()
    assert "some &lt;processor&gt;" in text
    assert "it &lt;cannot&gt;" in text
    assert "failed: OSError: &lt;no&gt; luck" in text


def test_a_failure_in_a_later_round_is_told_as_one(result, tmp_path):
    result.rows[3].failure = "OSError: late"
    path = tmp_path / "report.html"
    write_page(result, str(path))
    assert "<td>failed after 3 runs: OSError: late</td>" in path.read_text()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_without_network_draws_all_plots_and_logs_nothing(page, tmp_path):
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu",
            "--disable-dev-shm-usage", f"--user-data-dir={tmp_path / 'profile'}",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9",
            "--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert console == []
    plots = set(re.findall(r'id="(plot-\d+)"', page.read_text()))
    assert len(plots) >= 5
    # Plotly draws into two SVGs of each plot.
    assert done.stdout.count('class="main-svg"') >= 2 * len(plots)
