import pytest


@pytest.fixture(autouse=True)
def without_browser(request, monkeypatch):
    """Draw no pictures in Markdown but in the slow tests that look at them: a browser takes seconds."""
    if "slow" not in request.keywords:
        monkeypatch.setenv("BROWSER_PATH", "/nonexistent")
