"""Run as a script: `python pip_sdist.py PACKAGE FILENAME FOLDER` downloads one sdist file and runs nothing of it.

`pip download` builds an sdist's metadata, that is, runs its setup.py.  This asks pip's own command object for its
session and its package finder, so that indexes, find-links, proxies, certificates, credentials and PIP_* variables
are the user's, and then copies the bytes.  Only the names used below are pip internals; they exist from pip 23.2 to
26.3, and `OTHER_PIP` is the exit status when one is gone.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

NO_PIP = 85
OTHER_PIP = 86


def main(package: str, filename: str, folder: str) -> int:
    """Download `filename` of `package` into `folder` and return pip's exit status."""
    try:
        import_module("pip")
    except ModuleNotFoundError:
        return NO_PIP
    try:
        command = import_module("pip._internal.commands").create_command("download")
        # pip's own `main` sets up logging, prompts, temporary folders and error messages around `run`.
        command.run = lambda options, args: _checked_fetch(command, options, package, filename, folder)
        return command.main(["--no-binary", ":all:", "--no-deps", "--no-input", package])
    except (ImportError, AttributeError, TypeError) as error:
        return _other_pip(error)


def _checked_fetch(command: Any, options: Any, package: str, filename: str, folder: str) -> int:
    try:
        return _fetch(command, options, package, filename, folder)
    except (ImportError, AttributeError, TypeError) as error:
        return _other_pip(error)


def _fetch(command: Any, options: Any, package: str, filename: str, folder: str) -> int:
    network = import_module("pip._internal.network.utils")
    session = command.get_default_session(options)
    # The file is read, never installed, so the Python that it asks for does not matter.
    finder = command._build_package_finder(options=options, session=session, ignore_requires_python=True)
    links = {candidate.link.filename: candidate.link for candidate in finder.find_all_candidates(package)}
    if filename not in links:
        offered = f"{len(links)} other files, such as {list(links)[-1]}" if links else "no file of that package"
        print(f"the configured index offers {offered}")
        return 1
    response = session.get(links[filename].url_without_fragment, headers=network.HEADERS, stream=True)
    network.raise_for_status(response)
    with open(os.path.join(folder, filename), "wb") as copy:
        for chunk in network.response_chunks(response):
            copy.write(chunk)
    return 0


def _other_pip(error: Exception) -> int:
    version = getattr(import_module("pip"), "__version__", "of unknown version")
    print(f"pip {version}: {type(error).__name__}: {error}")
    return OTHER_PIP


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
