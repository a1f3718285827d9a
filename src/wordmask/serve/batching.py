"""A bounded queue of requests: those about one image are answered together, with one encoding of it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wordmask.errors import WordmaskError
from wordmask.serve.failures import ServiceError, as_service_error
from wordmask.serve.models import Answered

if TYPE_CHECKING:
    from wordmask.serve.features import KeptFeatures
    from wordmask.serve.metrics import Metrics
    from wordmask.serve.models import ServedModel
    from wordmask.serve.prompts import PromptMaker
    from wordmask.serve.request import SegmentRequest
    from wordmask.serve.settings import ServiceSettings

__all__ = ["Job", "Scheduler"]


@dataclass(eq=False)
class Job:
    """A request that waits for a model.

    Attributes:
        model: The model.
        request: The request.
        until: When it is answered 504, by `time.monotonic`.
        future: Its answer. A cancelled one is not computed.
        since: When it came.
    """

    model: ServedModel
    request: SegmentRequest
    until: float
    future: Future[Answered] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)

    @property
    def key(self) -> tuple[str, str]:
        """Model and image."""
        return self.model.name, self.request.key


class Scheduler:
    """Threads that answer jobs, the oldest first, and with it all that wait about the same image.

    Args:
        settings: Limits.
        features: Features of images that were encoded before.
        maker: Makes prompts.
        metrics: Where waiting and computing is counted.
        threads: How many groups are answered at once.
    """

    def __init__(
        self, settings: ServiceSettings, features: KeptFeatures, maker: PromptMaker, metrics: Metrics, *, threads: int
    ) -> None:
        self._settings, self._features, self._maker, self._metrics = settings, features, maker, metrics
        self._waiting: list[Job] = []
        self._running: set[tuple[str, str]] = set()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._count = threads
        self._closed = False
        self._seconds = 0.5  # of a group, averaged: what Retry-After is reckoned by

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Groups that are being answered."""
        return len(self._running)

    def submit(self, job: Job) -> None:
        """Put a job into the queue.

        Raises:
            ServiceError: If the queue is full, or the service stops: 503 with Retry-After.
        """
        with self._changed:
            if self._closed or len(self._waiting) >= self._settings.waiting:
                raise self._refusal()
            self._start()
            self._waiting.append(job)
            self._changed.notify()

    def withdraw(self, job: Job) -> None:
        """Forget a job whose client has gone or whose time is over; one that is being answered goes on."""
        job.future.cancel()
        with self._changed:
            self._remove([job])

    def close(self, *, seconds: float = 30.0) -> None:
        """Refuse further jobs, answer those that wait, and end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _refusal(self) -> ServiceError:
        wait = max(1, round(self._seconds * (len(self._waiting) + 1) / max(1, self._count)))
        what = "a service that is stopping" if self._closed else f"{len(self._waiting)} requests that wait already"
        message = f"Got {what}, expected room in the queue: send the request again in {wait} s."
        return ServiceError(503, "overloaded_error", "queue_full", message, headers={"Retry-After": str(wait)})

    def _start(self) -> None:
        while len(self._threads) < self._count:
            name = f"wordmask-serve-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (group := self._next()) is not None:
            try:
                self._answer(group)
            finally:
                with self._changed:
                    self._running.discard(group[0].key)
                    self._changed.notify_all()

    def _next(self) -> list[Job] | None:
        """Wait for the oldest job whose image no other thread is at, with all others about it; None at the end."""
        with self._changed:
            while True:
                self._drop_dead()
                first = next((job for job in self._waiting if job.key not in self._running), None)
                if first is not None:
                    group = self._group(first)
                    self._remove(group)
                    self._running.add(first.key)
                    return group
                if self._closed and not self._waiting:
                    return None
                self._changed.wait()

    def _group(self, first: Job, *, taken: int = 0) -> list[Job]:
        """Waiting jobs about an image, as many as are answered together; `taken` prompts are already."""
        group, prompts = [], taken
        for job in self._waiting:
            count = len(job.request.prompts)
            if job is first or (job.key == first.key and prompts + count <= self._settings.batch_prompts):
                group.append(job)
                prompts += count
        return group

    def _late(self, jobs: list[Job]) -> list[Job]:
        """Take jobs about the same image out of the queue, as many as fit."""
        with self._changed:
            self._drop_dead()
            late = self._group(jobs[0], taken=sum(len(job.request.prompts) for job in jobs))
            self._remove(late)
        late = [job for job in late if job.future.set_running_or_notify_cancel()]
        for job in late:
            self._metrics.observe("queue_seconds", time.monotonic() - job.since)
        return late

    def _drop_dead(self) -> None:
        now = time.monotonic()
        self._remove([job for job in self._waiting if job.future.cancelled() or job.until < now])

    def _remove(self, jobs: list[Job]) -> None:
        for job in jobs:
            if job in self._waiting:
                self._waiting.remove(job)

    def _answer(self, group: list[Job]) -> None:
        jobs = [job for job in group if job.future.set_running_or_notify_cancel()]
        if not jobs:
            return
        for job in jobs:
            self._metrics.observe("queue_seconds", time.monotonic() - job.since)
        start = time.monotonic()
        try:
            self._together(jobs)
        except Exception as error:  # noqa: BLE001  # it is raised where the answer is awaited
            if len(jobs) == 1:
                jobs[0].future.set_exception(_shown(error))
                return
            for job in jobs:  # one of them failed: each by itself, so that the others are answered
                self._alone(job)
        finally:
            seconds = time.monotonic() - start
            self._metrics.observe("model_seconds", seconds)
            self._seconds += 0.2 * (seconds - self._seconds)

    def _alone(self, job: Job) -> None:
        try:
            self._together([job], join=False)
        except Exception as error:  # noqa: BLE001  # it is raised where the answer is awaited
            job.future.set_exception(_shown(error))

    def _together(self, jobs: list[Job], *, join: bool = True) -> None:
        """Answer jobs about one image; with `join`, also those that came while it was encoded: they are appended."""
        start = time.monotonic()
        model = jobs[0].model
        encoded, reused = model.encode(jobs[0].request, self._features, max_pixels=self._settings.image_pixels)
        self._metrics.count("images", f'features="{"reused" if reused else "computed"}"')
        if join:
            jobs += self._late(jobs)
        middle = time.monotonic()
        each = model.answer(encoded, [job.request for job in jobs], self._maker)
        end = time.monotonic()
        for job, founds in zip(jobs, each, strict=True):
            self._metrics.count("prompts", by=len(founds))
            job.future.set_result(Answered(founds, encoded.size, middle - start, end - middle, reused))


def _shown(error: BaseException) -> BaseException:
    return as_service_error(error) if isinstance(error, WordmaskError) else error
