"""Custom resources as far as deploy/kubernetes uses them: their fields and types, as JSON Schemas; nothing else passes.

The operators' own definitions are megabytes of other people's files. What is checked against them, where somebody has
them (STAA_CRDS), is that these objects pass.
"""

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
ANY: Schema = {"type": "object"}  # a part of a pod: the schema of Kubernetes itself checks it
DURATION: Schema = {"type": "string", "pattern": r"^([0-9]+[hms])+$"}


def many(item: Schema) -> Schema:
    """Return the schema of a list that is not empty."""
    return {"type": "array", "items": item, "minItems": 1}


def record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """Return the schema of an object with these fields and no others."""
    fields = dict(required) | dict(optional or {})
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


def mapping(value: Schema) -> Schema:
    """Return the schema of an object whose keys are free."""
    return {"type": "object", "additionalProperties": value}


def custom(spec: Schema) -> Schema:
    """Return the schema of a whole custom resource."""
    metadata = record({"name": TEXT, "namespace": TEXT}, {"labels": mapping(TEXT), "annotations": mapping(TEXT)})
    return record({"apiVersion": TEXT, "kind": TEXT, "metadata": metadata, "spec": spec})


_RELABELING = record({"targetLabel": TEXT}, {"replacement": TEXT, "sourceLabels": many(TEXT)})
_ENDPOINT = record(
    {"port": TEXT, "path": {"type": "string", "pattern": "^/"}},
    {
        "scheme": {"enum": ["http", "https", "HTTP", "HTTPS"]},
        "interval": DURATION,
        "scrapeTimeout": DURATION,
        "params": mapping(many(TEXT)),
        "relabelings": many(_RELABELING),
    },
)
_RECORDING = record(
    {"record": {"type": "string", "pattern": "^[a-zA-Z_:][a-zA-Z0-9_:]*$"}, "expr": TEXT}, {"labels": mapping(TEXT)}
)
_ALERT = record({"alert": TEXT, "expr": TEXT}, {"for": DURATION, "labels": mapping(TEXT), "annotations": mapping(TEXT)})
_POLICY = record({"type": {"enum": ["Pods", "Percent"]}, "value": COUNT, "periodSeconds": COUNT})
_DIRECTION = record(
    {"policies": many(_POLICY)},
    {"stabilizationWindowSeconds": COUNT, "selectPolicy": {"enum": ["Max", "Min", "Disabled"]}},
)
_BEHAVIOR = record({"scaleUp": _DIRECTION, "scaleDown": _DIRECTION})
_TRIGGER = record(
    {
        "type": {"const": "prometheus"},
        "metadata": record(
            {"serverAddress": {"type": "string", "pattern": "^https?://"}, "query": TEXT, "threshold": TEXT},
            {"ignoreNullValues": {"enum": ["true", "false"]}},
        ),
    },
    {"name": TEXT, "metricType": {"enum": ["Value", "AverageValue"]}},
)
_FORMAT = {"name": TEXT, "version": TEXT}
_STRATEGY = record(
    {"type": {"const": "RollingUpdate"}, "rollingUpdate": record({"maxUnavailable": COUNT, "maxSurge": COUNT})}
)

_TEMPLATE = record({"metadata": record({"labels": mapping(TEXT)}), "spec": ANY})
_START = mapping(TEXT)  # of `ray start`: texts, numbers too
_RAY_CLUSTER = record(
    {
        "rayVersion": {"type": "string", "pattern": r"^2\.[0-9]+\.[0-9]+$"},
        "authOptions": record({"mode": {"enum": ["disabled", "token"]}, "secretName": TEXT}),
        "headGroupSpec": record({"rayStartParams": _START, "template": _TEMPLATE}),
        "workerGroupSpecs": many(
            record(
                {
                    "groupName": TEXT,
                    "minReplicas": COUNT,
                    "maxReplicas": COUNT,
                    "rayStartParams": _START,
                    "template": _TEMPLATE,
                }
            )
        ),
    },
    {
        "enableInTreeAutoscaling": FLAG,
        "autoscalerOptions": record(
            {},
            {"idleTimeoutSeconds": COUNT, "resources": ANY, "securityContext": ANY, "volumeMounts": many(ANY)},
        ),
    },
)

SCHEMAS: dict[str, Schema] = {
    "ray.io/v1 RayService": custom(
        record(
            {"rayClusterConfig": _RAY_CLUSTER, "serveConfigV2": TEXT},
            {
                "excludeHeadPodFromServeSvc": FLAG,
                "rayClusterDeletionDelaySeconds": COUNT,
                "serveService": record({"metadata": record({"name": TEXT}), "spec": record({"type": TEXT})}),
            },
        )
    ),
    "ray.io/v1 RayJob": custom(
        record(
            {"rayClusterSpec": _RAY_CLUSTER, "entrypoint": TEXT},
            {
                "submissionMode": {"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
                "backoffLimit": COUNT,
                "shutdownAfterJobFinishes": FLAG,
                "ttlSecondsAfterFinished": COUNT,
            },
        )
    ),
    "monitoring.coreos.com/v1 ServiceMonitor": custom(
        record({"selector": record({"matchLabels": mapping(TEXT)}), "endpoints": many(_ENDPOINT)})
    ),
    "monitoring.coreos.com/v1 PrometheusRule": custom(
        record(
            {
                "groups": many(
                    record({"name": TEXT, "rules": many({"anyOf": [_RECORDING, _ALERT]})}, {"interval": DURATION})
                )
            }
        )
    ),
    "keda.sh/v1alpha1 ScaledObject": custom(
        record(
            {
                "scaleTargetRef": record({"name": TEXT}, {"apiVersion": TEXT, "kind": TEXT}),
                "triggers": many(_TRIGGER),
            },
            {
                "minReplicaCount": COUNT,
                "maxReplicaCount": COUNT,
                "pollingInterval": COUNT,
                "advanced": record({"horizontalPodAutoscalerConfig": record({"behavior": _BEHAVIOR})}),
            },
        )
    ),
    "serving.kserve.io/v1alpha1 ServingRuntime": custom(
        record(
            {
                "supportedModelFormats": many(record({"name": TEXT}, {"version": TEXT, "autoSelect": FLAG})),
                "containers": many(ANY),
            },
            {
                "protocolVersions": many({"enum": ["v1", "v2"]}),
                "multiModel": FLAG,
                "labels": mapping(TEXT),
                "volumes": many(ANY),
            },
        )
    ),
    "serving.kserve.io/v1beta1 InferenceService": custom(
        record(
            {
                "predictor": record(
                    {
                        "model": record(
                            {"modelFormat": record({"name": TEXT}, _FORMAT), "runtime": TEXT, "storageUri": TEXT},
                            {"protocolVersion": {"enum": ["v1", "v2"]}},
                        )
                    },
                    {
                        "minReplicas": COUNT,
                        "maxReplicas": COUNT,
                        "scaleMetric": {"enum": ["cpu", "memory", "concurrency", "rps"]},
                        "scaleTarget": COUNT,
                        "deploymentStrategy": _STRATEGY,
                        "serviceAccountName": TEXT,
                        "automountServiceAccountToken": FLAG,
                        "enableServiceLinks": FLAG,
                        "terminationGracePeriodSeconds": COUNT,
                        "securityContext": ANY,
                        "topologySpreadConstraints": many(ANY),
                    },
                )
            }
        )
    ),
}


def converted(schema: Any) -> Any:
    """Return the JSON Schema of an openAPIV3Schema: closed objects, numbers or text, null where it may be."""
    if isinstance(schema, list):
        return [converted(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: converted(value) for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    if "properties" in schema and isinstance(schema["properties"], dict) and schema.get("type") == "object":
        # Under "properties" the keys are names of fields, also one that is called "type" or "properties".
        result["properties"] = {name: converted(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        result = {key: value for key, value in result.items() if key not in {"type", "anyOf"}}
        result["type"] = ["integer", "string"]
    if isinstance(schema.get("pattern"), str):  # Go has flags anywhere
        result["pattern"] = schema["pattern"].replace("^(?i)", "(?i)^")
    if schema.get("nullable") and "type" in result:
        kinds = result["type"] if isinstance(result["type"], list) else [result["type"]]
        result["type"] = [*kinds, "null"]
    return result
