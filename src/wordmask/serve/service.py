"""What the routes of a service share: models, queue, features, counters."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wordmask.serve.answers import results
from wordmask.serve.batching import Job, Scheduler
from wordmask.serve.budget import ByteBudget
from wordmask.serve.failures import ServiceError
from wordmask.serve.features import KeptFeatures
from wordmask.serve.metrics import Metrics, memory_bytes
from wordmask.serve.models import chosen, served_models
from wordmask.serve.prompts import PromptMaker
from wordmask.serve.schema import Health

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from wordmask.contracts import Segmenter
    from wordmask.serve.models import Answered
    from wordmask.serve.request import SegmentRequest
    from wordmask.serve.settings import ServiceSettings

__all__ = ["Service"]


class Service:
    """A service without its routes.

    Args:
        models: A segmenter, or several by the names that requests give.
        settings: Limits.
    """

    def __init__(self, models: Segmenter | Mapping[str, Segmenter], settings: ServiceSettings) -> None:
        self.models = served_models(models)
        self.settings = settings
        self.metrics = Metrics()
        self.features = KeptFeatures(settings.feature_bytes)
        self.budget = ByteBudget(settings.held_bytes)
        self.created = time.monotonic()
        self.stopping = False
        maker = PromptMaker(max_pixels=settings.image_pixels)
        threads = settings.workers or max(1, (os.cpu_count() or 1) // 2)
        self.scheduler = Scheduler(settings, self.features, maker, self.metrics, threads=threads)

    async def segment(self, request: SegmentRequest, gone: Callable[[], Awaitable[None]]) -> dict[str, Any]:
        """Answer a request.

        Args:
            request: What is asked.
            gone: Returns when the client has closed the connection.

        Raises:
            ServiceError: If it cannot be answered, or not in time.
        """
        start = time.monotonic()
        model = chosen(self.models, request.model)
        model.check(request)
        job = Job(model, request, start + self.settings.seconds)
        self.scheduler.submit(job)
        answered = await self._wait(job, gone)
        waited = time.monotonic() - start
        queue = max(0.0, waited - answered.encode - answered.segment)
        return await asyncio.to_thread(self._body, job, answered, _Clock(start, queue))

    def health(self) -> Health:
        """Return how the service is."""
        return Health(
            "stopping" if self.stopping else "ok", self.scheduler.waiting, self.settings.waiting,
            self.scheduler.running, len(self.features), self.features.bytes, memory_bytes(),
            round(time.monotonic() - self.created, 3), os.getpid(),
        )  # fmt: skip

    def gauges(self) -> dict[str, float]:
        """Return what `/metrics` shows beside counters."""
        health = self.health()
        return {
            "queue_depth": health.waiting,
            "running": health.running,
            "feature_bytes": health.feature_bytes,
            "memory_bytes": health.memory_bytes or 0,
            "uptime_seconds": health.uptime,
        }

    def close(self) -> None:
        """Answer what waits, and end the threads."""
        self.stopping = True
        self.scheduler.close()

    async def _wait(self, job: Job, gone: Callable[[], Awaitable[None]]) -> Answered:
        """Wait for an answer, as long as the client does and the time is not over."""
        answer: asyncio.Future[Any] = asyncio.wrap_future(job.future)
        left: asyncio.Future[Any] = asyncio.ensure_future(gone())
        try:
            await asyncio.wait((answer, left), timeout=self.settings.seconds, return_when=asyncio.FIRST_COMPLETED)
            if answer.done() and not answer.cancelled():
                found: Answered = answer.result()
                return found
        finally:
            left.cancel()
            if not answer.done():
                self.scheduler.withdraw(job)
                answer.cancel()
        if left.done() and not left.cancelled():
            raise ServiceError(499, "client_error", "client_gone", "The client closed the connection.")
        message = f"Got no answer within {self.settings.seconds:g} s, expected one: send fewer prompts or try later."
        raise ServiceError(504, "timeout_error", "too_slow", message)

    def _body(self, job: Job, answered: Answered, clock: _Clock) -> dict[str, Any]:
        start = time.monotonic()
        found = results(answered.founds, job.request, margin=self.settings.unsure_margin)
        end = time.monotonic()
        seconds = {
            "queue": clock.queue, "encode": answered.encode, "segment": answered.segment, "write": end - start,
            "total": end - clock.start,
        }  # fmt: skip
        return {
            "id": f"seg-{secrets.token_hex(8)}",
            "model": job.model.name,
            "version": job.model.segmenter.name,
            "created": int(time.time()),
            "size": list(answered.size),
            "timings": {name: round(1000 * value, 2) for name, value in seconds.items()} | {"reused": answered.reused},
            "results": found,
        }


@dataclass(frozen=True)
class _Clock:
    """When a request began to be answered, and how long it waited in the queue."""

    start: float
    queue: float
