#!/usr/bin/env python3
"""Renders the Helm chart with Helm's own engine and holds the objects to the API schemas of Kubernetes.

`--write` writes the renderings in the repository: deploy/kubernetes/swoosh.yaml and tests/integration/chart/full.yaml. `--check` compares
with those, lints, and checks every object strictly (an unknown field is an error). `--package DIR` packs the chart.
The engine and the schemas come from two packages of the Python registry (tools/chart-requirements.txt), kept beside the build products.
Exits with 3 where they cannot be installed.
"""

import fcntl
import hashlib
import os
import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHART = ROOT / "deploy/helm/swoosh"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or pathlib.Path.home() / ".cache/swoosh/target")
REQUIREMENTS = ROOT / "tools/chart-requirements.txt"
NOT_AVAILABLE = 3
# The oldest version that Chart.yaml allows, and the newest that the package knows.
VERSIONS = ["1.27", "1.37"]
# Objects of the Prometheus operator, whose schemas are not Kubernetes' own.
OPERATOR = {"ServiceMonitor", "PrometheusRule"}
# Where a rendering is kept, and the values that it is made with.
KEPT = {
    ROOT / "deploy/kubernetes/swoosh.yaml": None,
    ROOT / "tests/integration/chart/full.yaml": ROOT / "tests/integration/chart/full.values.yaml",
}
# Values that must be refused.
REFUSED = {
    "a misspelt key": {"servise": {"port": 1}},
    "a second replica": {"replicas": 2},
    "a tag for a digest": {"image": {"digest": "latest"}},
    "client certificates without an authority": {"tls": {"secretName": "a", "requireClientCertificate": True}},
    "client certificates without TLS": {"tls": {"clientCa": True, "requireClientCertificate": True}},
    "a shared volume": {"storage": {"accessModes": ["ReadWriteMany"]}},
    "a recipient that is no age public key": {"backup": {"recipients": ["AGE-SECRET-KEY-1"]}},
    "a policy that is no Cedar file": {"policies": {"files": {"a.txt": ""}}},
    "a cluster name that the node refuses": {"cluster": "Big Cluster"},
    "an authority without TLS": {"tls": {"clientCa": True}},
    "two listeners at one port": {"service": {"port": 7401}},
    "probes without a certificate that is required": {
        "probes": {"port": "http"},
        "tls": {"secretName": "a", "clientCa": True, "requireClientCertificate": True},
    },
    "probes by HTTP to a port with TLS": {"probes": {"port": "http", "scheme": "HTTP"}, "tls": {"secretName": "a"}},
    "probes by HTTPS to the observe port": {"probes": {"scheme": "HTTPS"}},
    "a misspelt key of a probe": {"probes": {"liveness": {"periodSecond": 5}}},
    "a liveness probe that must succeed twice": {"probes": {"liveness": {"successThreshold": 2}}},
    "a scrape that may last longer than its interval": {"serviceMonitor": {"interval": "5s", "scrapeTimeout": "1m"}},
}
# Values and names of releases that must give good objects.
PLAIN = {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}}
OWN_LABEL = {"app.kubernetes.io/name": "other"}
ACCEPTED = {
    **{f"the release {name}": (name, PLAIN) for name in ["123", "true", "null", "1.5", "0x1f", "on"]},
    "labels and annotations that the chart sets itself": ("swoosh", {
        "podLabels": OWN_LABEL,
        "podAnnotations": {"prometheus.io/scrape": "false"},
        "serviceMonitor": {"enabled": True, "labels": OWN_LABEL},
        "prometheusRule": {"enabled": True, "labels": OWN_LABEL},
    }),
    "values without content": ("swoosh", {"settings": None, "podDisruptionBudget": {"maxUnavailable": None}, "probes": {"liveness": None}}),
    "no backups": ("swoosh", {"backup": {"enabled": False}}),
    "backups to another directory": ("swoosh", {"settings": {"backup": {"directory": "/mnt/backups"}}}),
    "a priority class of digits": ("swoosh", {"priorityClassName": "1"}),
}


def with_packages():
    """Runs this file again with the packages. Ends where there are none."""
    home = TARGET / "chart-venv"
    wanted, installed = REQUIREMENTS.read_text(), home / "installed.txt"
    TARGET.mkdir(parents=True, exist_ok=True)
    # Two tests may ask at once. The lock is let go when this process becomes the other one.
    lock = open(TARGET / "chart-venv.lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not (installed.is_file() and installed.read_text() == wanted):
        print("installing Helm's engine and the API schemas, a minute", file=sys.stderr, flush=True)
        try:
            venv.EnvBuilder(clear=True, with_pip=True).create(home)
            pip = [home / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--requirement", REQUIREMENTS]
            subprocess.run(pip, check=True, timeout=600)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"the packages of {REQUIREMENTS.name} cannot be installed here: {error}", file=sys.stderr)
            sys.exit(NOT_AVAILABLE)
        installed.write_text(wanted)
    os.execv(home / "bin/python", [home / "bin/python", __file__, *sys.argv[1:]])


def digest():
    """Hash over the sources of a rendering: templates, default values and the test's values. A test computes the same."""
    parts = [path for path in sorted(CHART.rglob("*")) if path.is_file() and "files" not in path.relative_to(CHART).parts]
    parts += [values for values in KEPT.values() if values]
    seen = hashlib.sha256()
    for path in sorted(str(path.relative_to(ROOT)) for path in parts):
        data = (ROOT / path).read_bytes()
        seen.update(f"{path}\n{len(data)}\n".encode() + data)
    return seen.hexdigest()


def render(values, release="swoosh"):
    """The objects as one YAML text, in the order of the templates."""
    from helm_python import Chart

    with Chart.load(CHART) as chart:
        manifests = chart.render(values=values, name=release, namespace="swoosh")
    texts = [text.strip() for path, text in sorted(manifests.items()) if not path.endswith(".txt") and text.strip()]
    return "\n---\n".join(texts) + "\n"


def kept_text(path, values_file):
    import yaml

    values = yaml.safe_load(values_file.read_text()) if values_file else {}
    with_values = values_file.relative_to(ROOT) if values_file else "its default values"
    return f"# Rendered by `make chart` from deploy/helm/swoosh with {with_values}. Do not edit.\n# Made from {digest()}\n" + render(values)


def strict_loader():
    """Refuses a key that is written twice, as Kubernetes does."""
    import yaml

    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader, node):
        pairs = loader.construct_pairs(node, deep=True)
        if len(dict(pairs)) != len(pairs):
            raise yaml.YAMLError(f"a key is written twice: {[key for key, _ in pairs]}")
        return dict(pairs)

    Strict.add_constructor("tag:yaml.org,2002:map", mapping)
    return Strict


def check_accepted():
    """Values that are unusual and good."""
    faults = []
    for what, (release, values) in ACCEPTED.items():
        try:
            text = render(values, release)
            faults += check_objects(what, text)
            if "app.kubernetes.io/name: other" in text and "podLabels" not in values:
                faults.append(f"{what}: the chart's own label was lost")
        except Exception as error:  # each kind of failure is one
            faults.append(f"{what}: {error}")
    return faults


def check_objects(name, text):
    import kubernetes_validate
    import yaml

    faults = []
    for document in yaml.load_all(text, strict_loader()):
        labels = document["metadata"]["labels"]
        faults += [f"{name}: {document['kind']}: the label {key} is no text" for key, value in labels.items() if not isinstance(value, str)]
        for version in VERSIONS if document["kind"] not in OPERATOR else []:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except Exception as error:  # each kind of failure is one
                faults.append(f"{name}: {document['kind']} against {version}: {getattr(error, 'message', error)}")
    return faults


def check_rules():
    """The alerts reach the operator whole."""
    import yaml

    documents = list(yaml.safe_load_all(render({"prometheusRule": {"enabled": True, "labels": {"a": "b"}}})))
    found = [document["spec"] for document in documents if document["kind"] == "PrometheusRule"]
    wanted = yaml.safe_load((ROOT / "deploy/prometheus/swoosh.rules.yml").read_text())
    return [] if found == [wanted] else ["PrometheusRule is not deploy/prometheus/swoosh.rules.yml"]


def check():
    from helm_python import HelmError
    from helm_python.chart import lint

    report = lint(CHART, strict=True)
    faults = [f"lint: {message}" for message in report["messages"] if message["severity"] > 1]
    for path, values_file in KEPT.items():
        text = kept_text(path, values_file)
        if not path.is_file() or path.read_text() != text:
            faults.append(f"{path.relative_to(ROOT)} is stale: run `make chart`")
        faults += check_objects(path.name, text)
    faults += check_rules() + check_accepted()
    for what, values in REFUSED.items():
        try:
            render(values)
            faults.append(f"{what} is rendered: {values}")
        except HelmError:
            pass
    print("\n".join(faults) if faults else f"the chart is good: {len(KEPT)} renderings, {len(ACCEPTED)} unusual ones, {len(REFUSED)} refusals")
    return 1 if faults else 0


def main():
    if "chart-venv" not in sys.prefix:
        with_packages()
    match sys.argv[1:]:
        case ["--check"]:
            return check()
        case ["--write"]:
            for path, values_file in KEPT.items():
                path.write_text(kept_text(path, values_file))
            return check()
        case ["--package", directory]:
            from helm_python.chart import package

            print(package(CHART, destination=directory))
            return 0
    print("usage: chart.py --check | --write | --package DIR", file=sys.stderr)
    return 2


sys.exit(main())
