"""An HTTP service and a page for segmenters; extra `serve`. Importing this loads neither torch nor FastAPI."""

from wordmask.serve.app import create_app
from wordmask.serve.client import Client
from wordmask.serve.settings import ServiceSettings

__all__ = ["Client", "ServiceSettings", "create_app"]
