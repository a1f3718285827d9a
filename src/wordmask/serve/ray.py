"""The service as a deployment of Ray Serve: replicas on a cluster, each an application of its own.

    from ray import serve
    from wordmask.serve.ray import deployment

    serve.run(deployment({"compact": "compact"}, replicas=4, options={"num_gpus": 1}))

A replica batches requests about one image as a single process does. Requests about one image meet only in one replica;
what another replica has encoded is found where both use a shared feature cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wordmask.errors import MissingExtraError, sentence
from wordmask.serve.running import ServedModels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wordmask.serve.settings import ServiceSettings

__all__ = ["deployment"]


def deployment(
    models: Mapping[str, str], *, settings: ServiceSettings | None = None, replicas: int = 1, device: str = "auto",
    dtype: str = "auto", options: Mapping[str, Any] | None = None,
) -> Any:  # fmt: skip
    """Return what `ray.serve.run` takes.

    Args:
        models: As for `wordmask.load`, by the names that requests give. Every replica loads them.
        settings: Limits of a replica.
        replicas: How many there are.
        device: As for `wordmask.load`.
        dtype: As for `wordmask.load`.
        options: What Ray gives an actor, such as `{"num_gpus": 1}`.

    Raises:
        MissingExtraError: If Ray Serve is not installed.
    """
    try:
        from ray import serve
    except ImportError as error:
        raise MissingExtraError(sentence("no Ray Serve", "ray", "run `pip install 'ray[serve]'`")) from error
    served = ServedModels(dict(models), device, dtype)

    def made() -> Any:
        from wordmask.serve.app import create_app

        return create_app(served.load(), settings=settings)

    limits = 2 * settings.waiting if settings else 128
    configured = serve.deployment(
        name="wordmask", num_replicas=replicas, ray_actor_options=dict(options or {}), max_ongoing_requests=limits
    )

    @configured
    @serve.ingress(made)
    class Wordmask:
        pass

    bind: Any = Wordmask
    return bind.bind()
