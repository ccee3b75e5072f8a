"""The HTTP door: every route of docs/openapi.yaml and of KServe, those of the front proxy, SageMaker's and Vertex's."""

import asyncio
import os
import re
from collections.abc import Mapping

from ray import serve
from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from scale.edge import UNKNOWN_ROUTE, failure
from scale.measure import Handle
from scale.pipeline import Pipeline
from scale.served import Served
from staa.serving import Incoming

DRAINING = "the server was asked to stop: it finishes what it has. Ask another one."
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
"""The header in which SageMaker passes on what its caller says beside the body: "explain=true, top_k=3"."""


class Door:
    """Read requests and word replies; the two stages of their model do the rest."""

    def __init__(self, models: Mapping[str, tuple[Served, Handle, Handle]], metrics: Handle) -> None:
        self._pipelines = {name: Pipeline(*stages, metrics) for name, stages in models.items()}
        self._metrics = metrics
        self._is_draining = False

    def __serve_build_asgi_app__(self) -> Starlette:
        """Return the application that Ray calls."""
        asked, told = ["POST", "PUT"], ["GET"]
        register_url_convertor("name", _Name())
        routes = [
            Route("/predictions/{model:name}", self._predict, methods=asked),
            Route("/predictions/{model:name}/{version:name}", self._predict, methods=asked),
            Route("/explanations/{model:name}", self._explain, methods=asked),
            Route("/explanations/{model:name}/{version:name}", self._explain, methods=asked),
            Route("/v1/models/{model:name}:predict", self._predict, methods=["POST"]),
            Route("/v1/models/{model:name}:explain", self._explain, methods=["POST"]),
            Route("/v2/models/{model:name}/infer", self._predict, methods=["POST"]),
            Route("/v2/models/{model:name}/explain", self._explain, methods=["POST"]),
            Route("/v1/models/{model:name}", self._model_ready, methods=told),
            Route("/models", self._list_models, methods=told),
            Route("/metrics", self._show_metrics, methods=told),
            Route("/live", _live, methods=told),
            Route("/v2/health/live", _live, methods=told),
        ]
        invoked = "/invocations", os.environ.get("AIP_PREDICT_ROUTE")
        routes += [Route(path, self._invoke, methods=["POST"]) for path in invoked if path]
        ready = "/ready", "/v2/health/ready", "/ping", os.environ.get("AIP_HEALTH_ROUTE")
        routes += [Route(path, self._ready, methods=told) for path in ready if path]
        return Starlette(routes=routes, exception_handlers={HTTPException: _refuse})

    async def drain(self) -> int:
        """Refuse new requests from now on; return how many are under way."""
        self._is_draining = True
        return sum(pipeline.under_way for pipeline in self._pipelines.values())

    async def _predict(self, request: Request) -> Response:
        return await self._answer(request, request.path_params["model"], explain=False)

    async def _explain(self, request: Request) -> Response:
        return await self._answer(request, request.path_params["model"], explain=True)

    async def _invoke(self, request: Request) -> Response:
        """Answer at the one route that SageMaker and Vertex have, with the first model."""
        headers, explain = dict(request.headers), os.environ.get("STAA_INVOCATIONS") == "explain"
        for attribute in filter(None, re.split("[,;]", headers.pop(ATTRIBUTES, ""))):
            name, _, value = (part.strip() for part in attribute.partition("="))
            if name == "explain":
                explain = value.lower() == "true"
            else:
                headers[f"x-staa-{name.replace('_', '-')}"] = value
        return await self._answer(request, next(iter(self._pipelines)), explain=explain, headers=headers)

    async def _answer(
        self, request: Request, model: str, *, explain: bool, headers: dict[str, str] | None = None
    ) -> Response:
        if self._is_draining:
            return failure(503, "draining", DRAINING)
        pipeline = self._pipelines.get(model)
        if pipeline is None:
            return failure(404, "model_not_found", "this model is not served here: ask for another one")
        version = request.path_params.get("version", pipeline.served.version)
        if version != pipeline.served.version:
            message = "this version of the model is not served here: leave the version out"
            return failure(404, "model_version_not_found", message)
        headers = headers or dict(request.headers)
        name = headers.get("x-request-id", "")  # Ray's proxy gives one where the caller gave none
        body = await request.body()
        incoming = Incoming({"body": body}, headers, explain, name[:128] if name.isprintable() else "")
        reply = await pipeline.answer(incoming)
        again = {"retry-after": "1"} if reply.status == 503 else {}
        return Response(reply.body, reply.status, {**reply.headers, **again}, reply.content_type)

    async def _ready(self, _request: Request) -> Response:
        if self._is_draining:
            return failure(503, "draining", DRAINING)
        models = {name: await self._replicas(name) for name in self._pipelines}
        for name, (decoders, replicas) in models.items():
            if not decoders or not replicas:
                missing = "Model" if decoders else "Decoder"
                message = f"{name} has no {missing} that runs: it is loading or being replaced. Ask again in a second."
                return failure(503, "not_ready", message)
        known = {name: {"ready": replicas, "workers": replicas} for name, (_, replicas) in models.items()}
        return JSONResponse({"ready": True, "models": known})

    async def _model_ready(self, request: Request) -> Response:
        name = request.path_params["model"]
        if name not in self._pipelines:
            return failure(404, "model_not_found", f"no model {name} is served here: ask for another one")
        if not all(await self._replicas(name)):
            return failure(503, "not_ready", f"{name} is loading, or is being replaced. Ask again in a second.")
        return JSONResponse({"name": name, "ready": True})

    async def _list_models(self, _request: Request) -> Response:
        models = []
        for name, pipeline in self._pipelines.items():
            decoders, replicas = await self._replicas(name)
            served = pipeline.served
            facts = {"name": name, "version": served.version, "workers": replicas, "batch": served.batch_size}
            models.append({**facts, "ready": replicas if decoders else 0, "waiting": pipeline.under_way})
        return JSONResponse({"models": models})

    async def _show_metrics(self, _request: Request) -> Response:
        return Response(await self._metrics.text.remote(), media_type="text/plain; version=0.0.4")

    async def _replicas(self, model: str) -> tuple[int, int]:
        """Return how many Decoders and Models of a model run."""
        application = serve.get_replica_context().app_name
        status = (await asyncio.to_thread(serve.status)).applications[application].deployments
        stages = [status[f"{stage}-{model}"].replica_states.items() for stage in ("Decoder", "Model")]
        decoders, models = (sum(count for state, count in stage if state == "RUNNING") for stage in stages)
        return decoders, models


class _Name(StringConvertor):
    """The part of a path that names a model or a version."""

    regex = "[A-Za-z0-9][A-Za-z0-9._-]{0,127}"


async def _live(_request: Request) -> Response:
    return JSONResponse({"live": True})


async def _refuse(request: Request, error: Exception) -> Response:
    """Word what Starlette refuses: a path or a method that is not there."""
    if not isinstance(error, HTTPException) or error.status_code != 405:
        return failure(404, "route_unknown", UNKNOWN_ROUTE)
    allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
    reply = failure(405, "method_not_allowed", f"{request.method} was sent, this path takes {allowed}")
    reply.headers["Allow"] = allowed
    return reply
