"""The reference client of TUF on a repository of ours.

client.py REPOSITORY ROOT STATE TARGET...: prints each target it verified.
"""

import pathlib
import sys
from urllib.parse import unquote, urlparse

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface


class Files(FetcherInterface):
    def _fetch(self, url):
        path = pathlib.Path(unquote(urlparse(url).path))
        if not path.exists():
            raise DownloadHTTPError(str(path), 404)
        return iter([path.read_bytes()])


repository, root, state, *targets = sys.argv[1:]
repository = pathlib.Path(repository).resolve().as_uri()
metadata, downloads = pathlib.Path(state, "metadata"), pathlib.Path(state, "targets")
metadata.mkdir(parents=True, exist_ok=True)
downloads.mkdir(exist_ok=True)
updater = Updater(
    str(metadata),
    f"{repository}/metadata/",
    str(downloads),
    f"{repository}/targets/",
    fetcher=Files(),
    bootstrap=pathlib.Path(root).read_bytes(),
)
updater.refresh()
for target in targets:
    found = updater.get_targetinfo(target)
    print(pathlib.Path(updater.download_target(found)).read_text())
