"""An empty cache, and a package index that is on this machine alone."""

from package_index import cache, index, pip_home  # noqa: F401
