"""The page: static files that come with the package, and sample images."""

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING

from wordmask.images import SAMPLES

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["STATIC", "add_page"]

STATIC = Path(__file__).parent / "static"
"""Files of the page; nothing else is served."""
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
"""Content types that systems know by different names."""


def add_page(app: "FastAPI") -> None:
    """Serve the page at `/`, its files below `/page/`, and sample images.

    Names are looked up in a table made once: no part of an address becomes part of a path.
    """
    from fastapi import HTTPException, Response

    files = {path.name: path for path in sorted(STATIC.iterdir()) if path.is_file()}

    def answer(path: Path, age: int) -> Response:
        kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return Response(path.read_bytes(), media_type=kind, headers={"Cache-Control": f"max-age={age}"})

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return answer(files["index.html"], 0)

    @app.get("/page/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "no such file")
        return answer(files[name], 0)

    @app.get("/page/samples/{name}", include_in_schema=False)
    def sample(name: str) -> Response:
        from wordmask.images.files import sample_path

        if name not in SAMPLES:
            raise HTTPException(404, "no such sample")
        return answer(sample_path(f"sample:{name}"), 3600)
