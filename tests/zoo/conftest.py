"""An empty cache; a package index and a web server that are on this machine alone."""

from package_index import cache, index, pip_home  # noqa: F401
from web_server import web  # noqa: F401
