"""Write prometheusrule.yaml: the operator's object around the rules of deploy/monitoring/rules.yaml.

A rules file of Prometheus may hold nothing but rules, and kustomize cannot put a file into an object's field; so the
object is written by this script, and a test holds the two equal. Run it after every change of rules.yaml.
"""

from pathlib import Path

HERE = Path(__file__).resolve().parent
RULES = HERE.parents[2] / "monitoring" / "rules.yaml"
OBJECT = HERE / "prometheusrule.yaml"
HEAD = """\
# Written by rules.py from deploy/monitoring/rules.yaml: change it there, and run that script.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: staa
  labels:
    app.kubernetes.io/name: staa-serve
    app.kubernetes.io/part-of: staa-serve
    release: kube-prometheus-stack
spec:
"""


def wrap_rules(rules: str) -> str:
    """Return the object around the text of a rules file."""
    return HEAD + "".join(f"  {line}" if line.strip() else line for line in rules.splitlines(keepends=True))


def main() -> None:
    """Write the object anew beside this script, and say where it is."""
    OBJECT.write_text(wrap_rules(RULES.read_text()))
    print(f"rules: wrote {OBJECT}")


if __name__ == "__main__":
    main()
