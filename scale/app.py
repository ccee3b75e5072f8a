"""The Ray Serve application: `serve run scale.app:app models=motions`, or what ./scale.sh runs."""

from pathlib import Path

from pydantic import BaseModel
from ray import serve
from ray.serve import Application, Deployment

from scale.door import Door
from scale.measure import COUNTERS_NAMED, HISTOGRAMS
from scale.metrics import Metrics
from scale.served import STORE, Served
from scale.stages import Decoder, Model


class Arguments(BaseModel):
    """What `args` of a Serve config may say."""

    models: list[str] = ["motions"]
    """The names of the models, each of which has a yaml in the store."""
    store: Path = STORE
    """The folder of the yamls and checkpoints."""
    decoders: tuple[int, int] = (1, 1)
    """The fewest and the most processes that decode, of each model."""
    gpus: float = 0
    """The GPUs of each process with a model; 0.5 is two to one."""
    scaling: dict[str, float] = {}
    """When more processes start and end, as keys of Ray's autoscaling_config: upscale_delay_s, downscale_delay_s."""


def app(arguments: Arguments) -> Application:
    """Return the application: a Door, and for each model its Decoders and Models."""
    metrics = serve.deployment(ray_actor_options={"num_cpus": 0})(Metrics).bind(HISTOGRAMS, COUNTERS_NAMED)
    models = {}
    for name in arguments.models:
        served = Served.read(name, arguments.store)
        _ = served.model  # what is wrong with a checkpoint or its settings is said here, before any process starts
        decoder, model = _decoder(served, arguments), _model(served, arguments)
        models[name] = served, decoder.bind(served), model.bind(served, metrics)
    door = serve.deployment(
        max_ongoing_requests=1000,  # each model refuses those beyond its own queue
        graceful_shutdown_timeout_s=max(served.patience for served, *_ in models.values()),
        ray_actor_options={"num_cpus": 0},
    )
    return door(serve.ingress()(Door)).bind(models, metrics)


def _decoder(served: Served, arguments: Arguments) -> Deployment:
    """Return the stage that decodes for a model: more of them start when those that run have all they can take."""
    at_once = served.settings.decoders
    decoder = serve.deployment(
        name=f"Decoder-{served.name}",
        max_ongoing_requests=at_once,
        graceful_shutdown_timeout_s=served.patience,
        autoscaling_config=_scaling(*arguments.decoders, max(1, at_once // 2)) | arguments.scaling,
        ray_actor_options={"num_cpus": 1},
    )
    return decoder(Decoder)


def _model(served: Served, arguments: Arguments) -> Deployment:
    """Return the stage that answers: the next batch is collected while one is computed."""
    model = serve.deployment(
        name=f"Model-{served.name}",
        max_ongoing_requests=2 * served.batch_size,
        graceful_shutdown_timeout_s=served.patience,
        autoscaling_config=_scaling(*served.replicas, served.batch_size) | arguments.scaling,
        ray_actor_options={"num_cpus": 1, "num_gpus": arguments.gpus},
    )
    return model(Model)


def _scaling(least: int, most: int, target: int) -> dict[str, float]:
    """Return how many processes run; `target` is how many requests each is to have under way."""
    return {"min_replicas": least, "max_replicas": most, "target_ongoing_requests": target}
