"""The way of a request through the stages: read here, decoded by a Decoder, answered by a Model, worded here."""

import asyncio
import logging
import secrets
import time

from ray.exceptions import ActorDiedError, RayError, RayTaskError
from ray.serve.exceptions import RayServeException

from scale.measure import REQUESTS, Handle, Measurements
from scale.served import Served
from staa.errors import BusyError, DecodeError
from staa.serving import Incoming, Job, Outgoing, accept, wire, word
from staa.serving.job import errors_to

logger = logging.getLogger(__name__)
FULL = "the server has as many requests waiting as it takes; nothing was computed: send the request again"
KILLER = "the process that had this video ended, and so did a second one: the video may be the reason"
DEATHS = 2
"""How many processes may end while they have one request, before it is given up."""


class Pipeline:
    """Answer requests for one model. Pixels go from Decoder to Model through Ray's object store, and not by here."""

    def __init__(self, served: Served, decoder: Handle, model: Handle, metrics: Handle) -> None:
        self.served, self._decoder, self._model_stage = served, decoder, model
        self.model = served.model
        self._card = wire.card(self.model, served.signature, served.settings)
        self._measurements = Measurements(metrics, served.name, served.settings.traces)
        self._most = served.queue + served.batch_size * served.replicas[1]
        self.under_way = 0

    async def answer(self, incoming: Incoming) -> Outgoing:
        """Answer a request, with its result or its error."""
        began = time.time_ns()
        # no two requests share this number, at whatever Door: a failed video takes those of its own request with it
        request, jobs = await asyncio.to_thread(accept, secrets.randbits(63), incoming)
        if self.under_way >= self._most:
            with errors_to(jobs):
                raise BusyError(FULL)
        self.under_way += 1
        try:
            if not any(job.error or job.is_card for job in jobs):
                jobs = await self._run_stages(jobs)
            reply = await asyncio.to_thread(word, request, jobs, self.model, self._card)
        finally:
            self.under_way -= 1
        try:
            telemetry = self._measurements.telemetry
            telemetry.measure(jobs, 1, 0)
            telemetry.trace(request, jobs, incoming.headers, (began, time.time_ns()), self.served.name, len(jobs))
            self._measurements.send((REQUESTS, 1, (str(reply.status),)))
        except Exception:  # the reply is made: what a caller wrote into its trace must not take it
            logger.exception("a request could not be measured")
        return reply

    async def _run_stages(self, jobs: list[Job]) -> list[Job]:
        """Return the jobs of a request with their results or errors.

        A stage that is lost is asked again, as long as there is time. But a request whose process ended for the second
        time is given up: its video may be the reason.
        """
        deaths = 0
        with errors_to(jobs):
            try:
                async with asyncio.timeout(self.served.patience):
                    while True:
                        try:
                            decoded = self._decoder.decode.remote(jobs)
                            return list(await self._model_stage.answer.remote(decoded))
                        except (RayError, RayServeException) as error:
                            cause = error.cause if isinstance(error, RayTaskError) else error
                            if not isinstance(cause, RayError | RayServeException) or isinstance(cause, RayTaskError):
                                raise  # an error of the code that ran there
                            logger.warning("a process was lost on the way of a request: %.300s", cause)
                            deaths += isinstance(cause, ActorDiedError)
                            if deaths == DEATHS:
                                raise DecodeError(KILLER) from None
                        await asyncio.sleep(0.5)  # it takes Ray some seconds to know of a lost node
            except TimeoutError:
                raise BusyError(f"no answer within {self.served.patience} s: send the request again") from None
        return jobs
