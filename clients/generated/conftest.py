"""The running stack of our own tests."""

pytest_plugins = ["support.stack"]
