"""scale/ray.yaml is a configuration that Ray Serve takes, of the deployments that the application has."""

from pathlib import Path
from typing import Any

import pytest
import yaml

CONFIG: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "scale" / "ray.yaml").read_text())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own, as it is imported
def test_serve_takes_its_configuration() -> None:
    """Ray's own schema takes it, and it has no key that Ray would pass over."""
    from ray.serve.schema import DeploymentSchema, ServeApplicationSchema, ServeDeploySchema

    ServeDeploySchema(**CONFIG)
    assert CONFIG.keys() <= ServeDeploySchema.model_fields.keys()
    for application in CONFIG["applications"]:
        assert application.keys() <= ServeApplicationSchema.model_fields.keys()
        for each in application["deployments"]:
            assert each.keys() <= DeploymentSchema.model_fields.keys()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own, as it is imported
def test_it_sizes_every_process_and_no_other() -> None:
    """The deployments that it names are all that the application has for its models."""
    from scale.app import Arguments, app

    (application,) = CONFIG["applications"]
    assert application["import_path"] == "scale.app:app"
    found, todo = set(), [app(Arguments(**application["args"]))]
    while todo:
        each = todo.pop()
        if isinstance(each, dict):
            todo += each.values()
        elif isinstance(each, tuple | list):
            todo += each
        elif bound := getattr(each, "_bound_deployment", None):
            found.add(bound.name)
            todo += [bound.init_args, bound.init_kwargs]
    assert found == {each["name"] for each in application["deployments"]}
