"""The Helm chart: what it renders, what it refuses, and that its documentation is that of its values."""

import json
import os
import re

import kubernetes_validate
import pytest
import yaml

from charts import CHART, REFUSED, ROOT, Release, helm, merged
from pods import Volumes
from value_sets import CERTIFICATE, HASH, KEY, LISTEN, MUTUAL, PLAIN, SETS, TENANTS, cluster

OLDEST, NEWEST = "1.30", kubernetes_validate.latest_version().rsplit(".", 1)[0]
# Written anew where UPDATE_GOLDEN is set in the environment.
GOLDEN = ROOT / "packaging/tests/golden"
README = CHART / "README.md"


@pytest.fixture(params=SETS, scope="module")
def release(request) -> Release:
    return Release(SETS[request.param])


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> list[dict]:
    return cluster(tmp_path_factory.mktemp("cluster"))


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_knows_every_field(release, version):
    for document in release.documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_the_schemas_are_strict():
    document = Release(KEY).one("Deployment")
    document["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, OLDEST, strict=True)


def test_the_program_takes_every_configuration(release, others, ferromcp, tmp_path):
    volumes = Volumes(release, tmp_path, others)
    # Beside the other files, as in the pod; with the paths of the mounts as they are on this machine.
    directory = tmp_path / "volumes/config"
    (directory / "here.yaml").write_text(volumes.outside((directory / "ferromcp.yaml").read_text()))
    checked = ferromcp("check", directory / "here.yaml", env=os.environ | volumes.environment())
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_labels_are_those_that_are_selected(release):
    deployment = release.one("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [deployment["spec"]["selector"]["matchLabels"], release.one("Service")["spec"]["selector"]]
    selectors += [policy["spec"]["podSelector"]["matchLabels"] for policy in release.all("NetworkPolicy")]
    selectors += [budget["spec"]["selector"]["matchLabels"] for budget in release.all("PodDisruptionBudget")]
    for constraint in deployment["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
        if "a" not in constraint["labelSelector"]["matchLabels"]:
            selectors.append(constraint["labelSelector"]["matchLabels"])
    for selector in selectors:
        assert selector == selectors[0] and selector.items() <= labels.items()
    # The Service does not lead to the pod of `helm test`, and the policy lets that one in.
    for pod in release.all("Pod"):
        labels = pod["metadata"]["labels"]
        assert not selectors[0].items() <= labels.items()
        for policy in release.all("NetworkPolicy"):
            peers = policy["spec"]["ingress"][0].get("from")
            assert peers is None or any(
                peer.get("podSelector", {}).get("matchLabels", {"": ""}).items() <= labels.items() for peer in peers
            )


def test_what_is_referred_to_is_there(release, others):
    def there(kind, name):
        return any(d["kind"] == kind and d["metadata"]["name"] == name for d in [*release.documents, *others])

    deployment = release.one("Deployment")
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert len(volumes) == len(spec["volumes"]) and len(set(ports.values())) == len(ports)
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    for volume in volumes.values():
        if "configMap" in volume:
            assert there("ConfigMap", volume["configMap"]["name"])
        if "secret" in volume:
            assert there("Secret", volume["secret"]["secretName"])
        if "persistentVolumeClaim" in volume and volume["persistentVolumeClaim"]["claimName"] != "mine":
            assert there("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    for source in container.get("envFrom", []):
        assert there("Secret", source["secretRef"]["name"])
    service = release.one("Service")
    for port in service["spec"]["ports"]:
        assert port["targetPort"] in ports
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        kinds = {"exec", "httpGet", "tcpSocket"} & set(container[name])
        assert len(kinds) == 1
        assert "exec" in kinds or container[name][kinds.pop()]["port"] in ports
    for policy in release.all("NetworkPolicy"):
        assert [port["port"] for port in policy["spec"]["ingress"][0]["ports"]] == list(ports.values())
        assert {"port": 53, "protocol": "UDP"} in policy["spec"]["egress"][0]["ports"]
    for scaler in release.all("HorizontalPodAutoscaler"):
        assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
        assert "replicas" not in deployment["spec"]
    for ingress in release.all("Ingress"):
        (backend,) = [path["backend"]["service"] for path in ingress["spec"]["rules"][0]["http"]["paths"]]
        assert backend["name"] == service["metadata"]["name"]
        assert backend["port"]["name"] in [port["name"] for port in service["spec"]["ports"]]
    if spec["serviceAccountName"] != "some":
        assert there("ServiceAccount", spec["serviceAccountName"])


def test_pods_are_restricted(release):
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    for spec in release.pods:
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec) and spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] == 65532
        assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        kinds = {kind for volume in spec.get("volumes", []) for kind in set(volume) - {"name"}}
        assert kinds <= {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected", "csi", "downwardAPI"}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert not any("hostPort" in port for port in container.get("ports", []))


def test_the_image_and_the_pod_agree(dockerfile):
    spec = Release(KEY).one("Deployment")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert "command" not in container and container["args"][: len(dockerfile.command)] == dockerfile.command
    context = spec["securityContext"]
    assert dockerfile.user == f"{context['runAsUser']}:{context['runAsGroup']}" == f"{context['fsGroup']}:{context['fsGroup']}"
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert {dockerfile.environment["HOME"], dockerfile.environment["TMPDIR"]} <= set(mounts)
    assert not any("subPath" in mount for mount in mounts.values())


def test_calls_have_the_time_to_finish():
    drain = re.search(r"\| `drain` \|.*\| `(\d+)s` \|", (ROOT / "docs/config.md").read_text())
    deployment = Release(KEY).one("Deployment")
    spec = deployment["spec"]["template"]["spec"]
    sleep = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] > int(drain[1]) + sleep
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_one_writer_of_what_is_kept():
    assert Release(SETS["persistence"]).one("Deployment")["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize("name", ["a", "0" * 53, "x" * 53, "a.b-c", "ferromcp", "my-ferromcp-" + "y" * 41, "true", "1e3"])
def test_names_are_names(name):
    values = merged(SETS["everything"], {"fullnameOverride": "f"} if name[0].isdigit() else {})
    for document in Release(values, name, "123").documents:
        assert re.fullmatch("[a-z]([-a-z0-9]{0,61}[a-z0-9])?", document["metadata"]["name"])
        assert document["metadata"]["namespace"] == "123"
        for label in document["metadata"]["labels"].values():
            assert isinstance(label, str) and re.fullmatch("[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?", label)
        kubernetes_validate.validate(document, NEWEST, strict=True)


def config(text: str, **more) -> dict:
    return {"config": text, **more}


NOT_TOGETHER = {
    "no key": ({}, "secret.values.key-hash"),
    "the key itself": ({"secret": {"values": {"key-hash": "fmcp_main_0123"}}}, "which the client keeps"),
    "a file that is not there": (config(PLAIN + 'log: { level: "${file:/run/secrets/ferromcp/level}" }'), "secret.values.level"),
    "no authentication": (config('listen: { http: ":8080" }'), "ferromcp keys new"),
    "anonymous callers": (config(PLAIN + "auth: { anonymous: local }"), "ferromcp keys new"),
    "authentication that is not wanted": (config(PLAIN, insecureNoAuth=True), "insecureNoAuth has no effect"),
    "loopback": (config(TENANTS), "write 0.0.0.0:8080"),
    "a port that is chosen": (config('listen: { http: "0.0.0.0:0" }\n' + TENANTS), "write 0.0.0.0:8080"),
    "no port": (config('listen: { http: "0.0.0.0:65536" }\n' + TENANTS), "write 0.0.0.0:8080"),
    "gRPC on loopback": (config('listen: { http: ":1", grpc: "127.0.0.1:2" }\n' + TENANTS), "listen.grpc"),
    "one port for both": (config('listen: { http: ":80", grpc: ":80" }\n' + TENANTS), "give them two"),
    "no YAML": (config("listen: ["), "ferromcp check"),
    "no mapping": (config("just text"), "ferromcp check"),
    "a block that is none": (config("listen: 7"), "listen is no mapping"),
    "two configurations": (config(PLAIN, existingConfigMap={"name": "own"}), "leave out the one or the other"),
    "two secrets": ({"secret": {"existing": "a", "values": {"key-hash": HASH}}}, "leave out the one or the other"),
    "a variable's name": (config(PLAIN, secret={"env": True, "values": {"a-b": "x"}}), "no name of an environment variable"),
    "no secret for the environment": (config(PLAIN, secret={"env": True}), "secret.env has no effect"),
    "many pods and one volume": (merged(KEY, {"autoscaling": {"enabled": True}, "persistence": {"enabled": True}}), "one writer"),
    "two pods and one volume": (merged(KEY, {"replicas": 2, "persistence": {"enabled": True}}), "one writer"),
    "admin and two pods": (config(PLAIN + "admin: { keys: [x], store: y }", replicas=2), "would not know them"),
    "fewest above most": (merged(KEY, {"autoscaling": {"enabled": True, "minReplicas": 9}}), "more than autoscaling.maxReplicas"),
    "nothing to measure against": (
        merged(KEY, {"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": None}}}), "resources.requests.cpu"),
    "no node drains": (merged(KEY, {"podDisruptionBudget": {"enabled": True, "maxUnavailable": "0%"}}), "set 1 or more"),
    "not enough time": (config(PLAIN + "supervisor: { drain: 1m }"), "which are 65"),
    "just not enough time": (merged(KEY, {"terminationGracePeriodSeconds": 35}), "which are 35"),
    "an unknown time": (config(PLAIN + "supervisor: { drain: ${DRAIN} }".replace("${", '"${').replace("} }", '}" }')), "write it out"),
    "probes without certificates": (config(MUTUAL, **CERTIFICATE), "probes.command"),
    "an ingress for nobody": (merged(KEY, {"ingress": {"enabled": True}}), "ingress.host"),
    "a policy without effect": (merged(KEY, {"service": {"externalTrafficPolicy": "Local"}}), "no effect"),
    "one port of the Service": (config(LISTEN + TENANTS, service={"port": 1, "grpcPort": 1}), "service.grpcPort"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_TOGETHER)
def test_what_does_not_go_together_is_refused_with_what_to_do(name):
    values, said = NOT_TOGETHER[name]
    with pytest.raises(REFUSED) as refused:
        Release(values)
    assert said in str(refused.value)
    # Not even in an error.
    assert "fmcp_main_0123" not in str(refused.value)


def test_a_name_that_no_service_can_have_is_refused():
    with pytest.raises(REFUSED, match="fullnameOverride"):
        Release(KEY, "7")


HOSTILE = ["a\nb: c", "a b", "{{ .Release.Name }}", '"', "a: b", "-", "x" * 300, "$(id)", "Ä"]


def leaves(schema: dict, place=()):
    for name, part in schema["properties"].items():
        if "properties" in part:
            yield from leaves(part, (*place, name))
        else:
            yield (*place, name), part


def at(place, value) -> dict:
    for name in reversed(place):
        value = {name: value}
    return value


SCHEMA = json.loads((CHART / "values.schema.json").read_text())
LEAVES = dict(leaves(SCHEMA))


@pytest.mark.parametrize("place", LEAVES, ids=".".join)
def test_values_of_another_type_or_out_of_bounds_are_refused(place):
    part = LEAVES[place]
    bad = {"string": [7, True, [], {}], "integer": ["1", 1.5, True], "boolean": ["true", 0], "array": [{}, "x"],
           "object": ["x", 7, []]}[part.get("type", "integer")]  # fmt: skip
    if "minimum" in part:
        bad += [part["minimum"] - 1, part["maximum"] + 1]
    if "enum" in part:
        bad.append("other")
    with helm.Chart.load(CHART) as chart:
        for value in bad:
            with pytest.raises(helm.HelmValuesError, match=re.escape("/".join(("", *place)))):
                chart.validate_schema(at(place, value))
        if part.get("type") == "string" and place[0] != "config":
            for value in HOSTILE:
                with pytest.raises(helm.HelmValuesError):
                    chart.validate_schema(at(place, value))


@pytest.mark.parametrize("place", [(), *{place[:-1] for place in LEAVES if len(place) > 1}], ids=".".join)
def test_unknown_keys_are_refused(place):
    with helm.Chart.load(CHART) as chart, pytest.raises(helm.HelmValuesError, match="'nonsense' not allowed"):
        chart.validate_schema(at((*place, "nonsense"), 1))


@pytest.mark.parametrize("files", [{"a/b": "x"}, {"..": "x"}, {"..data": "x"}, {"ferromcp.yaml": "x"}, {"": "x"}, {"a": 7}])
def test_files_have_names_that_are_files(files):
    with helm.Chart.load(CHART) as chart, pytest.raises(helm.HelmValuesError):
        chart.validate_schema({"files": files})


TEXT = 'a: "b"\n{{ fail "x" }}\n---\n\ttab \' quote\n  # {{- include "y" . }} \\ \u00e4 ${NAME} %s\n\nend'


def test_text_stays_as_it_is():
    for text in (TEXT, "  " + TEXT, TEXT + "\n\n", "null", "1e3", "yes", "0o17", "- a", "\n", "x" * 5000, "a\rb\u2028c"):
        value = merged(KEY, {
            "config": PLAIN, "files": {"f": text}, "secret": {"values": {"s": text}}, "podAnnotations": {"a": text},
            "extraEnv": [{"name": "E", "value": text}], "service": {"annotations": {"a": text}},
            "probes": {"command": [text]},
        })  # fmt: skip
        release = Release(value)
        template = release.one("Deployment")["spec"]["template"]
        container = template["spec"]["containers"][0]
        assert release.one("ConfigMap")["data"]["f"] == text and release.one("Secret")["stringData"]["s"] == text
        assert template["metadata"]["annotations"]["a"] == release.one("Service")["metadata"]["annotations"]["a"] == text
        assert container["env"][-1]["value"] == text and container["readinessProbe"]["exec"]["command"] == [text]


def test_the_configuration_is_rendered_byte_by_byte():
    text = "# first\n" + PLAIN + "\n\n# {{ x }} 'y' \"z\"\n\nlimits:\n  tools:\n    z: { rate: 1/s }\n    a: { rate: 1000000/s }\n\n\n"
    assert Release(config(text)).configuration == text


def test_the_notes_say_what_comes_next_and_what_to_know():
    assert "port-forward service/ferromcp 8080:8080" in Release(KEY).notes and "WARNING" not in Release(KEY).notes
    assert "by the client's address" in Release(SETS["scaling"]).notes
    assert "sessionAffinity None" in Release(SETS["three"]).notes and "for itself" in Release(SETS["three"]).notes
    assert "goes past the Service" in Release(SETS["everything"]).notes
    assert "grpcs://ferromcp.tools:50051" in Release(SETS["TLS and gRPC"]).notes
    kept = SETS["persistence"]
    assert "WARNING" not in Release(kept).notes and "9090" in Release(kept).notes
    assert "audit log and the tenants" in Release(kept | {"persistence": {"enabled": False}}).notes
    assert "WARNING: whoever" in Release(SETS["no credentials"]).notes


def test_helm_finds_nothing_wrong():
    for version in (OLDEST, NEWEST):
        report = helm.lint(CHART, KEY, strict=True, kube_version=f"v{version}.0")
        assert not report["errors"], report
        assert [m["error"] for m in report["messages"] if m["severity"] > 1] == [], report


def test_the_chart_is_that_of_this_version(version):
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == version
    assert chart["kubeVersion"] == f">={OLDEST}.0-0"


@pytest.mark.parametrize(("name", "file"), [("the key alone", "helm-key.yaml"), ("everything", "helm-everything.yaml")])
def test_what_is_rendered_is_what_was_looked_at(name, file):
    text = "".join(f"# {template}\n{content}" for template, content in Release(SETS[name]).texts.items())
    if "UPDATE_GOLDEN" in os.environ:
        (GOLDEN / file).write_text(text)
    assert (GOLDEN / file).read_text() == text, "UPDATE_GOLDEN=1 writes it anew; look at the difference"


def table() -> str:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    lines = ["| value | default | what it is |", "|---|---|---|"]
    for place, part in LEAVES.items():
        if place == ("global",):
            continue
        value = defaults
        for name in place:
            value = value[name]
        shown = json.dumps(value).replace("|", "\\|")
        lines.append(f"| `{'.'.join(place)}` | `{shown}` | {part['description']} |")
    return "\n".join(lines)


def test_the_readme_has_every_value_with_its_default():
    begin, end = "<!-- values -->\n", "\n<!-- end of values -->"
    text = README.read_text()
    head, rest = text.split(begin)
    old, tail = rest.split(end)
    if "UPDATE_GOLDEN" in os.environ:
        README.write_text(head + begin + table() + end + tail)
    else:
        assert old == table(), "UPDATE_GOLDEN=1 writes it anew"


def test_values_and_schema_are_of_the_same_things():
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())

    def same(values: dict, schema: dict, place: str):
        assert list(values) == [name for name in schema["properties"] if name != "global"], place
        for name, part in schema["properties"].items():
            assert part["description"].endswith((".", "`.")), f"{place}.{name}"
            if "properties" in part and name in values:
                if isinstance(values[name], dict) and name not in ("requests", "limits"):
                    same(values[name], part, f"{place}.{name}")

    same(defaults, SCHEMA, "")
